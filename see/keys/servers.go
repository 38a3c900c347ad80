package keys

import "slices"

// server is how one kind of server tells where its keys lie. Sources: each program's own manual.
type server struct {
	programs []string // base names of the executable, or the process's name
	flags    []string // options that name another configuration, or its directory
	first    bool     // its first argument is its configuration
	bare     bool     // arguments that are no options are keys
	configs  []string // where it lies otherwise: files, or directories of them
	files    []string // what is read in a directory that an option names; nil: everything
	notation notation
	base     base
	include  finder
	keys     finder
	lists    finder   // files with a key's path at the beginning of each line
	secrets  finder   // paths of files that are secrets themselves
	defaults []string // keys that it takes where nothing is said, if they are there
	stores   []string // directories where it keeps keys that it made or found itself; {data} and {home} are its own directories
	beside   []string // endings that a key beside its certificate, or one of several kinds, has
}

// base says what a relative path is relative to.
type base int

const (
	toFile base = iota // the file that holds it
	toMain             // the directory of the main configuration, unless a directive names another
	toWork             // the directory in which the server runs
	toData             // the server's directory of data
)

// finder picks paths out of the words of a statement.
type finder func(words []string) []string

// servers are the programs whose configuration names keys.
func servers() []server { return slices.Concat(webServers(), mailServers(), otherServers()) }

func webServers() []server {
	return []server{
		{
			programs: []string{"nginx"}, flags: []string{"-c"}, configs: []string{"/etc/nginx/nginx.conf"}, notation: notation{ends: ";{}", free: true, comment: "#", variables: "$"}, base: toMain,
			include: after("include"), secrets: after("ssl_session_ticket_key", "ssl_password_file", "auth_basic_user_file"),
			keys: after("ssl_certificate", "ssl_certificate_key", "proxy_ssl_certificate", "proxy_ssl_certificate_key", "grpc_ssl_certificate", "grpc_ssl_certificate_key", "uwsgi_ssl_certificate", "uwsgi_ssl_certificate_key"),
		},
		{
			programs: []string{"apache2", "httpd"}, flags: []string{"-f"}, configs: []string{"/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf"}, notation: notation{comment: "#", variables: "${"}, base: toMain,
			include: after("include", "includeoptional"), secrets: after("sslsessionticketkeyfile", "authuserfile"),
			keys:   after("sslcertificatefile", "sslcertificatekeyfile", "sslproxymachinecertificatefile", "sslproxymachinecertificatepath", "mdcertificatefile", "mdcertificatekeyfile", "mdstoredir"),
			stores: []string{"/etc/apache2/md", "/etc/httpd/md", "/var/lib/httpd/md"},
		},
		{
			programs: []string{"haproxy"}, flags: []string{"-f"}, configs: []string{"/etc/haproxy/haproxy.cfg"}, notation: notation{comment: "#", variables: "$"}, base: toWork,
			keys: both(anywhere("crt"), within("load", "key")), lists: anywhere("crt-list"), secrets: anywhere("tls-ticket-keys"), beside: []string{".key", ".rsa", ".ecdsa", ".dsa"},
		},
		{
			programs: []string{"caddy"}, flags: []string{"--config", "-config", "-c"}, configs: []string{"/etc/caddy/Caddyfile", "{conf}/caddy/autosave.json"}, notation: notation{ends: "{}", apart: true, comment: "#", variables: "{"}, base: toWork,
			include: after("import"), keys: caddyKeys, stores: []string{"{data}/caddy/certificates", "{data}/caddy/pki"},
		},
		{
			programs: []string{"hitch"}, flags: []string{"--config"}, bare: true, configs: []string{"/etc/hitch/hitch.conf"}, notation: notation{ends: "{}", comment: "#"}, base: toWork,
			keys: after("pem-file", "pem-dir", "cert", "private-key"),
		},
		{
			programs: []string{"varnishd"}, flags: []string{"-A"}, notation: notation{ends: "{}", comment: "#"}, keys: after("pem-file", "pem-dir", "cert", "private-key"), // the commercial edition; the free one has hitch before it
		},
	}
}

func mailServers() []server {
	return []server{
		{
			programs: []string{"master", "smtpd", "smtp", "tlsproxy", "postfix"}, flags: []string{"-c"}, configs: []string{"/etc/postfix/main.cf", "/etc/postfix/master.cf"}, files: []string{"main.cf", "master.cf"},
			notation: notation{comment: "#", folded: true, variables: "$"},
			keys: parameter("smtpd_tls_cert_file", "smtpd_tls_key_file", "smtpd_tls_dcert_file", "smtpd_tls_dkey_file", "smtpd_tls_chain_files", "smtpd_tls_eccert_file", "smtpd_tls_eckey_file",
				"smtp_tls_cert_file", "smtp_tls_key_file", "smtp_tls_chain_files", "smtp_tls_eccert_file", "smtp_tls_eckey_file", "lmtp_tls_cert_file", "lmtp_tls_key_file", "lmtp_tls_chain_files"),
			lists: parameter("tls_server_sni_maps"), secrets: after("smtp_sasl_password_maps"),
		},
		{
			programs: []string{"dovecot", "imap-login", "pop3-login", "managesieve-login", "submission-login", "config"}, flags: []string{"-c"}, configs: []string{"/etc/dovecot/dovecot.conf"},
			notation: notation{ends: "{}", comment: "#", variables: "$"}, include: after("!include", "!include_try"),
			keys: after("ssl_cert", "ssl_key", "ssl_alt_cert", "ssl_alt_key", "ssl_client_cert", "ssl_client_key", "ssl_server_cert_file", "ssl_server_key_file", "ssl_server_alt_cert_file", "ssl_server_alt_key_file", "ssl_client_cert_file", "ssl_client_key_file"),
		},
	}
}

func otherServers() []server {
	return []server{
		{
			programs: []string{"prosody", "lua", "lua5.4", "lua5.3", "lua5.2"}, flags: []string{"--config"}, configs: []string{"/etc/prosody/prosody.cfg.lua", "/etc/prosody/conf.d"}, notation: notation{ends: ";{},", comment: "--"},
			include: after("include"), keys: after("certificate", "key", "certificates", "https_certificate", "https_key"), stores: []string{"/etc/prosody/certs"},
		},
		{
			programs: []string{"turnserver"}, flags: []string{"-c"}, configs: []string{"/etc/turnserver.conf", "/etc/coturn/turnserver.conf"}, notation: notation{comment: "#"}, base: toWork,
			keys: after("cert", "pkey"), defaults: []string{"turn_server_cert.pem", "turn_server_pkey.pem", "/etc/turn_server_cert.pem", "/etc/turn_server_pkey.pem"},
		},
		{
			programs: []string{"postgres", "postmaster"}, flags: []string{"config_file", "-D"}, configs: []string{"/var/lib/pgsql/data/postgresql.conf"}, files: []string{"postgresql.conf", "postgresql.auto.conf"},
			notation: notation{comment: "#"}, base: toData, include: after("include", "include_if_exists", "include_dir"), keys: after("ssl_cert_file", "ssl_key_file"), defaults: []string{"server.crt", "server.key"},
		},
		{
			programs: []string{"redis-server", "valkey-server"}, first: true, configs: []string{"/etc/redis/redis.conf", "/etc/redis.conf", "/etc/valkey/valkey.conf"}, notation: notation{comment: "#"}, base: toWork,
			include: after("include"), keys: after("tls-cert-file", "tls-key-file", "tls-client-cert-file", "tls-client-key-file"), secrets: after("aclfile"),
		},
		{
			programs: []string{"stunnel", "stunnel4", "stunnel5"}, first: true, configs: []string{"/etc/stunnel/stunnel.conf", "/etc/stunnel"}, notation: notation{comment: "#;"},
			include: after("include"), keys: after("cert", "key"),
		},
		{
			programs: []string{"java"}, flags: []string{"-Dcatalina.base"}, files: []string{"conf/server.xml"}, notation: notation{ends: "<>/", apart: true, free: true, comment: "<!--", variables: "${"}, base: toData,
			keys: both(after("djavax.net.ssl.keystore", "dserver.ssl.key-store", "server.ssl.key-store", "dserver.ssl.certificate-private-key", "dserver.ssl.certificate"),
				anywhere("keystoreFile", "certificateKeystoreFile", "certificateFile", "certificateKeyFile", "SSLCertificateFile", "SSLCertificateKeyFile")),
		},
		{
			programs: []string{"sshd"},
			stores:   []string{"/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_dsa_key"},
		},
	}
}

// caddyKeys: `tls CERT KEY` in a site, `load DIR...` in its block; `tls internal` and `tls ADDRESS` name no files, `storage` names where it keeps its own.
func caddyKeys(words []string) []string {
	switch words[0] {
	case "tls":
		if len(words) > 2 {
			return words[1:]
		}
	case "load", "root_key", "root_cert", "signing_cert", "signing_key":
		return words[1:]
	case "storage":
		if len(words) > 2 && words[1] == "file_system" {
			return words[2:]
		}
	}
	return nil
}
