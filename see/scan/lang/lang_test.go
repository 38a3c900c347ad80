package lang_test

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"staunch/see/scan/lang"
	"staunch/testbed/real"
)

const (
	core   = "org.apache.logging.log4j:log4j-core"
	lookup = "org/apache/logging/log4j/core/lookup/JndiLookup.class"
	pom    = "META-INF/maven/org.apache.logging.log4j/log4j-core/pom.properties"
)

func marks() []lang.Mark {
	return []lang.Mark{{ID: "jndi", Ecosystem: "Maven", Component: core, Entries: []string{lookup}}}
}

// archive makes a zip of name to content.
func archive(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range files {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(t testing.TB, content []byte, name string) []lang.Found {
	t.Helper()
	got, err := lang.Jar(bytes.NewReader(content), int64(len(content)), name, marks(), lang.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return got.Found
}

func coordinates(version string) string {
	return "#Generated\nversion=" + version + "\ngroupId=org.apache.logging.log4j\nartifactId=log4j-core\n"
}

func TestLog4jByContentWhereverItHides(t *testing.T) {
	plain := archive(t, map[string]string{pom: coordinates("2.14.1"), lookup: "x"})
	mended := archive(t, map[string]string{pom: coordinates("2.14.1")})
	shaded := archive(t, map[string]string{lookup: "x", "META-INF/MANIFEST.MF": "Manifest-Version: 1.0\n"})
	boot := archive(t, map[string]string{"BOOT-INF/lib/log4j-core-2.14.1.jar": string(plain), "BOOT-INF/classes/App.class": ""})
	ear := archive(t, map[string]string{"shop.war": string(archive(t, map[string]string{"WEB-INF/lib/renamed.jar": string(plain)}))})
	unpacked := archive(t, map[string]string{"WEB-INF/classes/" + lookup: "x"})
	for _, c := range []struct {
		name, version, path string
		content             []byte
		has                 bool
	}{
		{"log4j-core-2.14.1.jar", "2.14.1", "log4j-core-2.14.1.jar", plain, true},
		{"class removed", "2.14.1", "class removed", mended, false},
		{"shaded.jar", "", "shaded.jar", shaded, true},
		{"app.jar", "2.14.1", "app.jar!/BOOT-INF/lib/log4j-core-2.14.1.jar", boot, true},
		{"shop.ear", "2.14.1", "shop.ear!/shop.war!/WEB-INF/lib/renamed.jar", ear, true},
		{"open.war", "", "open.war", unpacked, true},
	} {
		found := read(t, c.content, c.name)
		i := slices.IndexFunc(found, func(f lang.Found) bool { return f.Name == core })
		if i < 0 {
			t.Errorf("%s: not found in %+v", c.name, found)
			continue
		}
		if f := found[i]; f.Version != c.version || f.Path != c.path || f.Marks["jndi"] != c.has || len(f.Facts) == 0 {
			t.Errorf("%s: %+v", c.name, f)
		}
	}
}

func TestJarsWithoutCoordinatesAreKnownByName(t *testing.T) {
	for _, c := range []struct{ file, manifest, name, version string }{
		{"guava-30.1-jre.jar", "", "guava", "30.1-jre"},
		{"commons-text.jar", "Implementation-Title: commons-text\nImplementation-Version: 1.9\n", "commons-text", "1.9"},
		{"spring.jar", "Bundle-SymbolicName: org.springframework.\n core;singleton=true\nBundle-Version: 5.3.1\n", "org.springframework.core", "5.3.1"},
	} {
		files := map[string]string{"A.class": ""}
		if c.manifest != "" {
			files["META-INF/MANIFEST.MF"] = c.manifest
		}
		found := read(t, archive(t, files), c.file)
		if len(found) != 1 || found[0].Version != c.version || (c.file != "spring.jar" && c.file != "commons-text.jar" && found[0].Name != c.name) {
			t.Errorf("%s: %+v", c.file, found)
		}
	}
}

func TestArchiveBombsCostALimit(t *testing.T) {
	limits := lang.Limits{Depth: 3, Entries: 50, Inner: 1 << 20, Total: 4 << 20}
	zeros := strings.Repeat("\x00", 3<<20)
	inner := archive(t, map[string]string{"a.jar": zeros})
	deep := archive(t, map[string]string{"x.class": ""})
	for range 10 {
		deep = archive(t, map[string]string{"in.jar": string(deep)})
	}
	many := map[string]string{}
	for i := range 60 {
		many[strings.Repeat("d", i+1)] = ""
	}
	for name, content := range map[string][]byte{"zeros": inner, "deep": deep, "many": archive(t, many), "no zip": []byte("hello"), "empty": nil} {
		if _, err := lang.Jar(bytes.NewReader(content), int64(len(content)), name, nil, limits); err == nil {
			t.Errorf("%s: read without a word", name)
		}
	}
}

func TestDebiansOwnLog4j(t *testing.T) {
	real.Slow(t)
	jars, err := filepath.Glob("/usr/share/java/log4j-core-2*.jar")
	if err != nil || len(jars) == 0 {
		real.Missing(t, "liblog4j2-java is not installed")
	}
	content, err := os.ReadFile(jars[0])
	if err != nil {
		t.Fatal(err)
	}
	found := read(t, content, jars[0])
	i := slices.IndexFunc(found, func(f lang.Found) bool { return f.Name == core })
	if i < 0 || found[i].Version == "" || !found[i].Marks["jndi"] {
		t.Errorf("%+v", found)
	}
}

func TestClassPathAsTheLauncherReadsIt(t *testing.T) {
	files := map[string]string{
		"/app/args":  "# what the service loads\n-cp \"lib/with space.jar:lib/\\x61.jar\" -Xmx1g\n'-javaagent:lib/agent.jar=key=1'\n",
		"/app/long":  "-cp \"a.jar:\\\n   b.jar\"\n@args\nMain",
		"/etc/empty": "",
	}
	open := func(name string) ([]byte, error) {
		text, ok := files[name]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return []byte(text), nil
	}
	for _, c := range []struct {
		args string
		env  map[string]string
		want string
	}{
		{args: "java -Xmx1g -cp lib/a.jar:/opt/b.jar:classes:lib/* Main -cp no.jar", want: "/app/lib/a.jar /opt/b.jar /app/classes /app/lib/*"},
		{args: "java -javaagent:/agent.jar=x -cp no.jar -jar app.jar -jar no.jar", want: "/agent.jar /app/app.jar"},
		{args: "java --class-path=x.jar -p mods/m.jar Main", want: "/app/mods/m.jar /app/x.jar"},
		{args: "java --add-modules ALL-SYSTEM -cp x.jar -m shop/Main -cp no.jar", want: "/app/x.jar"},
		{args: "java -cp a.jar -cp b.jar Main", want: "/app/b.jar"},
		{args: "java --patch-module java.base=p.jar -Djava.class.path=d.jar Main", want: "/app/p.jar /app/d.jar"},
		{args: "java -cp", want: ""},
		{args: "java @args Main @no", want: "/app/lib/agent.jar|/app/lib/with space.jar|/app/lib/x61.jar"},
		{args: "java @/app/long", want: "/app/a.jar /app/b.jar"},
		{args: "java --disable-@files @args -cp no.jar", want: ""},
		{args: "java @missing -cp a.jar Main", want: "/app/a.jar unread:/app/missing"},
		{args: "java Main", env: map[string]string{"CLASSPATH": "/opt/c.jar:lib/*"}, want: "/opt/c.jar /app/lib/*"},
		{args: "java -cp a.jar Main", env: map[string]string{"CLASSPATH": "/opt/no.jar"}, want: "/app/a.jar"},
		{args: "java -jar a.jar", env: map[string]string{"CLASSPATH": "/opt/no.jar"}, want: "/app/a.jar"},
		{args: "java Main", env: map[string]string{"JDK_JAVA_OPTIONS": "@args --module-path 'm.jar'"}, want: "/app/lib/agent.jar|/app/m.jar|/app/lib/with space.jar|/app/lib/x61.jar"},
		{args: "java -jar a.jar", env: map[string]string{"JAVA_TOOL_OPTIONS": "-javaagent:/t.jar", "_JAVA_OPTIONS": "-Xbootclasspath/a:/b.jar"}, want: "/t.jar /b.jar /app/a.jar"},
	} {
		paths, unread := lang.Launch{Args: strings.Fields(c.args), Env: c.env, Cwd: "/app", Open: open}.ClassPath()
		for _, u := range unread {
			paths = append(paths, "unread:"+u)
		}
		split := " "
		if strings.Contains(c.want, "|") {
			split = "|"
		}
		want := strings.Split(c.want, split)
		if c.want == "" {
			want = nil
		}
		if !slices.Equal(paths, want) {
			t.Errorf("%s %v: %q, want %q", c.args, c.env, paths, want)
		}
	}
}

func TestAManifestNamesJarsBesideItsOwn(t *testing.T) {
	content := archive(t, map[string]string{"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\nClass-Path: lib/a.jar ../b%20c.jar lib/cl\n asses/ file:/opt/d.jar https://example.org/e.jar x\n .jar\n", "in.jar": string(archive(t, map[string]string{"META-INF/MANIFEST.MF": "Class-Path: no.jar\n"}))})
	got, err := lang.Jar(bytes.NewReader(content), int64(len(content)), "/srv/app/app.jar", nil, lang.DefaultLimits())
	if want := []string{"/srv/app/lib/a.jar", "/srv/b c.jar", "/opt/d.jar", "/srv/app/x.jar"}; err != nil || !slices.Equal(got.ClassPath, want) {
		t.Errorf("%q, %v", got.ClassPath, err)
	}
}

func FuzzClassPath(f *testing.F) {
	f.Add("java\x00@a\x00-cp\x00x.jar", "-cp \"a b:c\\\n d\" # x", "-javaagent:y=1 'z'")
	f.Fuzz(func(t *testing.T, args, file, env string) {
		l := lang.Launch{
			Args: strings.Split(args, "\x00"), Cwd: "/app", Env: map[string]string{"JDK_JAVA_OPTIONS": env, "CLASSPATH": env},
			Open: func(string) ([]byte, error) { return []byte(file), nil },
		}
		paths, _ := l.ClassPath()
		for _, p := range paths {
			if !strings.HasPrefix(p, "/") {
				t.Errorf("%q is not absolute", p)
			}
		}
	})
}

func TestModulesByPath(t *testing.T) {
	root := fstest.MapFS{
		"app/node_modules/@scope/fast/package.json":                    {Data: []byte(`{"name":"@scope/fast","version":"1.2.3"}`)},
		"app/node_modules/outer/node_modules/inner/package.json":       {Data: []byte(`{"name":"inner","version":"4.0.0"}`)},
		"app/node_modules/broken/package.json":                         {Data: []byte(`{"name":`)},
		"var/gems/specifications/nokogiri-1.13.10.gemspec":             {Data: []byte("# stub: nokogiri 1.13.10 ruby lib ext\n")},
		"usr/lib/python3/site-packages/Foo_Bar-2.0.dist-info/METADATA": {Data: []byte("Metadata-Version: 2.1\nName: Foo_Bar\nVersion: 2.0\n\nName: not this\n")},
		"usr/lib/python3/site-packages/Foo_Bar-2.0.dist-info/RECORD":   {Data: []byte("foo/_x.so,sha256=abc,10\n")},
		"usr/lib/python3/dist-packages/old-1.0.egg-info/PKG-INFO":      {Data: []byte("Name: old\nVersion: 1.0\n")},
		"usr/lib/python3/dist-packages/old-1.0.egg-info/top_level.txt": {Data: []byte("_old\n")},
		"usr/lib/python3/site-packages/evil-1.dist-info/METADATA":      {Data: []byte("Name: \x1b[2Jevil\nVersion: 1\n")},
		"usr/lib/python3/site-packages/evil-1.dist-info/RECORD":        {Data: []byte("evil.so,,\n")},
	}
	for _, c := range []struct{ path, eco, name, version, kind string }{
		{"/app/node_modules/@scope/fast/build/x.node", "npm", "@scope/fast", "1.2.3", "metadata"},
		{"/app/node_modules/outer/node_modules/inner/i.node", "npm", "inner", "4.0.0", "metadata"},
		{"/app/node_modules/broken/x.node", "npm", "broken", "", "name"},
		{"/var/gems/gems/nokogiri-1.13.10/lib/nokogiri.so", "RubyGems", "nokogiri", "1.13.10", "metadata"},
		{"/var/gems/extensions/x86_64-linux/3.1.0/puma-5.6.5/puma.so", "RubyGems", "puma", "5.6.5", "name"},
		{"/usr/lib/python3/site-packages/foo/_x.so", "PyPI", "foo-bar", "2.0", "metadata"},
		{"/usr/lib/python3/dist-packages/_old.cpython-311.so", "PyPI", "old", "1.0", "metadata"},
	} {
		f, ok := lang.Module(root, c.path)
		if !ok || f.Ecosystem != c.eco || f.Name != c.name || f.Version != c.version || len(f.Facts) != 1 || f.Facts[0].Kind != c.kind {
			t.Errorf("%s: %v %+v", c.path, ok, f)
		}
	}
	for _, path := range []string{"/usr/lib/libc.so", "/app/node_modules/", "/x/gems/none/lib.so", "/usr/lib/python3/site-packages/evil.so", "/usr/lib/python3/site-packages/unlisted.so"} {
		if f, ok := lang.Module(root, path); ok {
			t.Errorf("%s is said to be %+v", path, f)
		}
	}
}

func FuzzJar(f *testing.F) {
	f.Add(archive(f, map[string]string{pom: coordinates("2.14.1"), lookup: "x", "in.jar": string(archive(f, map[string]string{"META-INF/MANIFEST.MF": "A: b\n c\n"}))}))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\xff", 18)))
	f.Fuzz(func(t *testing.T, content []byte) {
		got, _ := lang.Jar(bytes.NewReader(content), int64(len(content)), "x.jar", marks(), lang.Limits{Depth: 3, Entries: 1000, Inner: 1 << 20, Total: 4 << 20})
		for _, f := range got.Found {
			if f.Name == "" || strings.ContainsAny(f.Name+f.Version, "\x1b\n") {
				t.Errorf("%+v", f)
			}
		}
	})
}

func FuzzModule(f *testing.F) {
	f.Add("/a/node_modules/x/y", `{"name":"x"}`)
	f.Add("/a/site-packages/x.so", "Name: x\nVersion: 1\n\n")
	f.Fuzz(func(_ *testing.T, path, text string) {
		root := fstest.MapFS{
			"a/node_modules/x/package.json": {Data: []byte(text)}, "a/site-packages/x.dist-info/METADATA": {Data: []byte(text)},
			"a/site-packages/x.dist-info/RECORD": {Data: []byte("x.so,,\n")},
		}
		lang.Module(root, path)
	})
}
