// Package export writes a judged document in the forms that other tools and people take: OpenVEX, CycloneDX and one HTML page.
package export

import (
	"strings"

	"staunch/see/scan"
	"staunch/see/scan/owner"
	"staunch/see/verdict"

	"github.com/package-url/packageurl-go"
)

// purlTypes maps kinds of components to package-url types.
func purlTypes() map[string]string {
	return map[string]string{"Go": "golang", "npm": "npm", "PyPI": "pypi", "Maven": "maven", "RubyGems": "gem", "crates.io": "cargo"}
}

// componentPURL names a component; upstream releases outside of any ecosystem are "generic".
func componentPURL(kind, name, version string) string {
	typ := purlTypes()[kind]
	if typ == "" {
		return packageurl.NewPackageURL("generic", "", name, version, nil, "").ToString()
	}
	space := ""
	cut := map[string]string{"golang": "/", "npm": "/", "maven": ":"}[typ]
	if i := strings.LastIndex(name, cut); cut != "" && i > 0 {
		space, name = name[:i], name[i+1:]
	}
	if typ == "golang" && version != "" && !strings.HasPrefix(version, "v") {
		version = "v" + version
	}
	return packageurl.NewPackageURL(typ, space, name, version, nil, "").ToString()
}

// packagePURL names an installed package.
func packagePURL(p *owner.Package) string {
	q := packageurl.Qualifiers{}
	if p.Arch != "" {
		q = append(q, packageurl.Qualifier{Key: "arch", Value: p.Arch})
	}
	if p.Distro != "" && p.Release != "" {
		q = append(q, packageurl.Qualifier{Key: "distro", Value: p.Distro + "-" + p.Release})
	}
	return packageurl.NewPackageURL(p.Type, p.Distro, p.Name, p.Version, q, "").ToString()
}

// objectPURL names a file: by its package, else by its name and content.
func objectPURL(o *scan.Object, path string) string {
	if o.Package != nil && o.Package.Type != "" && o.Package.Intact != "no" {
		return packagePURL(o.Package)
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	if name == "" {
		name = "object"
	}
	return packageurl.NewPackageURL("generic", "", name, "", packageurl.Qualifiers{{Key: "staunch_object", Value: o.ID}}, "").ToString()
}

func objectsByID(doc *verdict.Document) map[string]*scan.Object {
	byID := make(map[string]*scan.Object, len(doc.Objects))
	for i := range doc.Objects {
		byID[doc.Objects[i].ID] = &doc.Objects[i]
	}
	return byID
}

// product names what a finding is about.
func product(f *verdict.Finding, byID map[string]*scan.Object) string {
	if o := byID[f.Object]; o != nil {
		return objectPURL(o, f.Path)
	}
	return componentPURL("", f.Component, f.Version)
}
