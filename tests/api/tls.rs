//! https beside http: real handshakes, with every certificate checked.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use serde_json::{Value, json};

use crate::helpers::{PATIENCE, Server, escape, intake, tool, until};

/// A connection with TLS that trusts one file of certificates.
struct Secure(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Secure {
    /// Shakes hands with the server at a URL, or tells why not.
    fn dial(url: &str, trusted: &Path) -> io::Result<Self> {
        Self::dial_by(url, trusted, &[&TLS12, &TLS13])
    }

    fn dial_by(
        url: &str,
        trusted: &Path,
        versions: &[&'static SupportedProtocolVersion],
    ) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(trusted).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let place = url.strip_prefix("https://").unwrap();
        let host = place.rsplit_once(':').unwrap().0.to_owned();
        let mut connection =
            ClientConnection::new(Arc::new(config), ServerName::try_from(host).unwrap()).unwrap();
        let mut stream = TcpStream::connect(place)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Self(BufReader::new(StreamOwned::new(connection, stream))))
    }

    /// The status and body of an answer; the connection goes on.
    fn get(&mut self, path: &str, token: &str) -> (u16, String) {
        let head = format!("GET {path} HTTP/1.1\r\nhost: a.test\r\nauthorization: Bearer {token}\r\n\r\n");
        self.0.get_mut().write_all(head.as_bytes()).unwrap();
        let (mut line, mut length, mut status) = (String::new(), 0, 0);
        while self.0.read_line(&mut line).unwrap() > 2 {
            let lower = line.to_lowercase();
            match lower.strip_prefix("content-length: ") {
                Some(number) => length = number.trim().parse().unwrap(),
                None if status == 0 => status = lower.split(' ').nth(1).unwrap().parse().unwrap(),
                None => {}
            }
            line.clear();
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }

    fn connection(&self) -> &ClientConnection {
        &self.0.get_ref().conn
    }
}

/// A directory with the files `certificate.pem` and `key.pem` of a server, which signed itself.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.renew();
        files
    }

    /// Another pair in place of the one that is there; what it is to be trusted by.
    fn renew(&self) -> PathBuf {
        let pair = pair();
        fs::write(self.path("certificate.pem"), pair.cert.pem()).unwrap();
        fs::write(self.path("key.pem"), pair.signing_key.serialize_pem()).unwrap();
        self.trusted()
    }

    /// A copy of the certificate that stays when it is renewed.
    fn trusted(&self) -> PathBuf {
        let copy = tempfile::NamedTempFile::with_suffix_in(".pem", self.0.path()).unwrap();
        fs::copy(self.path("certificate.pem"), copy.path()).unwrap();
        copy.keep().unwrap().1
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A server with these files, its https URL, and its log.
    fn serve(&self) -> (Server, String, PathBuf) {
        let (log, data) = (self.path("log"), self.path("data"));
        let server = self.with_settings(|settings| Server::logging_to(&log, &data, settings));
        let find = || fs::read_to_string(&log).unwrap().lines().find_map(https_url);
        (server, until("the https URL is told", find), log)
    }

    fn with_settings<T>(&self, run: impl FnOnce(&[(&str, &str)]) -> T) -> T {
        let (certificate, key) = (self.path("certificate.pem"), self.path("key.pem"));
        run(&[
            ("INTAKE_SERVER_TLS_BIND", "127.0.0.1:0"),
            ("INTAKE_SERVER_TLS_CERTIFICATE", certificate.to_str().unwrap()),
            ("INTAKE_SERVER_TLS_KEY", key.to_str().unwrap()),
        ])
    }
}

fn pair() -> CertifiedKey<rcgen::KeyPair> {
    generate_simple_self_signed(["localhost", "127.0.0.1"].map(str::to_owned)).unwrap()
}

fn https_url(line: &str) -> Option<String> {
    Some(line.trim().strip_prefix("https on ")?.to_owned())
}

fn text(server: &Server, name: &str) -> String {
    server.about[name].as_str().unwrap().to_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn https_and_http_are_the_same_server() {
    let files = Files::new();
    let (server, url, _) = files.serve();
    server.import(&json!([{ "email": "ann@acme.test", "email_verified": true }]).to_string(), false);
    let path = "/api/v2/users-by-email?email=ann@acme.test";
    let plain = server.get(path);
    let trusted = files.trusted();
    for version in [&TLS12, &TLS13] {
        let mut secure = Secure::dial_by(&url, &trusted, &[version]).unwrap();
        assert_eq!(secure.get(path, &server.token), (200, plain.text.clone()));
        assert_eq!(secure.get(path, "nonsense").0, 401);
        assert_eq!(secure.connection().protocol_version(), Some(version.version));
        assert_eq!(secure.connection().alpn_protocol(), Some(&b"http/1.1"[..]));
    }
    let both = Secure::dial(&url, &trusted).unwrap();
    assert_eq!(both.connection().protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert!(server.stop().success());
}

#[test]
fn who_trusts_another_certificate_does_not_get_through() {
    let (files, other) = (Files::new(), Files::new());
    let (_server, url, _) = files.serve();
    let refusal = Secure::dial(&url, &other.trusted()).err().unwrap().to_string();
    assert!(refusal.contains("invalid peer certificate"), "{refusal}");
}

#[test]
fn a_hangup_renews_the_certificate_and_connections_go_on() {
    let files = Files::new();
    let (server, url, log) = files.serve();
    let old = files.trusted();
    let mut before = Secure::dial(&url, &old).unwrap();
    assert_eq!(before.get("/api/v2/connections", &server.token).0, 200);
    let new = files.renew();
    assert!(Secure::dial(&url, &new).is_err(), "nobody has asked for the new one yet");
    server.signal("HUP");
    let mut after = until("the new certificate is shown", || Secure::dial(&url, &new).ok());
    assert_eq!(after.get("/api/v2/connections", &server.token).0, 200);
    assert!(Secure::dial(&url, &old).is_err(), "the old one is gone");
    assert_eq!(before.get("/api/v2/connections", &server.token).0, 200);
    assert!(fs::read_to_string(log).unwrap().contains("the TLS certificate was read again"));
}

#[test]
fn a_broken_pair_leaves_the_old_one_in_use_until_it_is_whole() {
    let files = Files::new();
    let (server, url, log) = files.serve();
    let old = files.trusted();
    let told =
        || fs::read_to_string(&log).unwrap().matches("the TLS certificate before stays in use").count();

    // As a renewal that has written one of its files.
    let renewed = pair();
    fs::write(files.path("certificate.pem"), renewed.cert.pem()).unwrap();
    server.signal("HUP");
    until("the mismatch is told", || (told() == 1).then_some(()));
    let line = fs::read_to_string(&log).unwrap();
    assert!(line.contains("ERROR") && line.contains("does not belong to the first certificate in"), "{line}");
    assert_eq!(Secure::dial(&url, &old).unwrap().get("/api/v2/connections", &server.token).0, 200);

    fs::remove_file(files.path("key.pem")).unwrap();
    server.signal("HUP");
    until("the missing key is told", || (told() == 2).then_some(()));
    assert!(fs::read_to_string(&log).unwrap().contains("key.pem cannot be read: No such file"));
    assert!(Secure::dial(&url, &old).is_ok());

    fs::write(files.path("key.pem"), renewed.signing_key.serialize_pem()).unwrap();
    server.signal("HUP");
    until("the whole pair is shown", || Secure::dial(&url, &files.path("certificate.pem")).ok());
}

#[test]
fn a_server_without_a_usable_certificate_does_not_start_and_says_why() {
    let files = Files::new();
    let start = |more: &[(&str, &str)]| {
        files.with_settings(|settings| {
            let data = files.path("data");
            let path = [("INTAKE_STORAGE_PATH", data.to_str().unwrap())];
            let settings = [settings, &path, more].concat();
            intake(&["serve", "--bind", "127.0.0.1:0"], &settings).output().unwrap()
        })
    };
    fs::write(files.path("other.pem"), pair().signing_key.serialize_pem()).unwrap();
    let (other, missing) = (files.path("other.pem"), files.path("missing.pem"));
    let cases = [
        (("INTAKE_SERVER_TLS_KEY", other.to_str().unwrap()), "does not belong to the first certificate in"),
        (("INTAKE_SERVER_TLS_CERTIFICATE", missing.to_str().unwrap()), "missing.pem cannot be read"),
        (("INTAKE_SERVER_TLS_KEY", ""), "setting \"server.tls.key\""),
    ];
    for (setting, expected) in cases {
        let output = start(&[setting]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    assert!(!files.path("data").exists(), "nothing was made");
}

#[test]
fn https_without_a_certificate_is_refused() {
    for arguments in [
        &["serve", "--tls"][..],
        &["serve", "--tls-bind", "127.0.0.1:0"],
        &["serve", "--ephemeral", "--tls-bind", "127.0.0.1:0"],
    ] {
        let output = intake(arguments, &[("INTAKE_STORAGE_PATH", "/no/such")]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("https needs a certificate: set server.tls.certificate"));
    }
}

#[test]
fn a_key_that_everybody_may_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let files = Files::new();
    let warnings = |mode| {
        fs::set_permissions(files.path("key.pem"), fs::Permissions::from_mode(mode)).unwrap();
        let (server, _, log) = files.serve();
        assert!(server.stop().success());
        fs::read_to_string(log).unwrap().matches("every user of this machine may read").count()
    };
    assert_eq!((warnings(0o644), warnings(0o640), warnings(0o600)), (1, 0, 0));
}

#[test]
fn a_throwaway_server_with_tls_says_what_a_client_has_to_know() {
    let server = Server::ephemeral_with_tls(&[]);
    let (url, domain, ca) = (text(&server, "url"), text(&server, "domain"), text(&server, "ca_file"));
    assert_eq!(url, format!("https://{domain}"));
    assert!(text(&server, "http_url").starts_with("http://127.0.0.1:"));
    assert!(text(&server, "page").starts_with(&format!("{url}/#code=")));
    let port = domain.rsplit_once(':').unwrap().1;
    for name in [&url, &format!("https://localhost:{port}")] {
        let mut secure = Secure::dial(name, Path::new(&ca)).unwrap();
        assert_eq!(secure.get("/api/v2/connections", &server.token).0, 200);
    }
    let directory = Path::new(&ca).parent().unwrap().to_owned();
    assert!(server.stop().success());
    assert!(!directory.exists(), "nothing is left");
}

#[test]
fn a_throwaway_server_without_tls_has_a_domain_and_no_ca_file() {
    let server = Server::ephemeral();
    assert_eq!(text(&server, "url"), text(&server, "http_url"));
    assert_eq!(text(&server, "url"), format!("http://{}", text(&server, "domain")));
    assert_eq!(server.about["ca_file"], Value::Null);
}

#[test]
fn the_host_of_the_public_url_is_in_the_throwaway_certificate() {
    let server = Server::ephemeral_with_tls(&[("INTAKE_SERVER_PUBLIC_URL", "https://intake.test:8443/auth")]);
    assert_eq!(text(&server, "domain"), "intake.test:8443");
    let directory = PathBuf::from(text(&server, "ca_file")).parent().unwrap().to_owned();
    let certificate = CertificateDer::from_pem_file(directory.join("tls-certificate.pem")).unwrap();
    assert!(certificate.windows(11).any(|bytes| bytes == b"intake.test"));
}

/// Each client reads its own variable, as it would for a company's authority.
#[test]
fn one_ca_file_suffices_for_curl_python_and_node() {
    let server = Server::ephemeral_with_tls(&[]);
    let (url, ca) = (text(&server, "url"), text(&server, "ca_file"));
    let urls = [format!("{url}/"), format!("{}/", url.replace("127.0.0.1", "localhost"))];
    let python = "import sys, urllib.request as r\nfor u in sys.argv[1:]: assert r.urlopen(u).status == 200";
    let node = "Promise.all(process.argv.slice(1).map(u => fetch(u)))\
                .then(all => process.exit(all.every(a => a.status === 200) ? 0 : 1))\
                .catch(e => { console.error(e); process.exit(1) })";
    let clients: [(&str, &[&str], &str); 3] = [
        ("curl", &["--fail", "--silent", "--show-error"], "CURL_CA_BUNDLE"),
        ("python3", &["-c", python], "SSL_CERT_FILE"),
        ("node", &["-e", node], "NODE_EXTRA_CA_CERTS"),
    ];
    for (name, arguments, variable) in clients {
        let Some(program) = tool(name) else { continue };
        let run = |trusted: &str| {
            Command::new(&program).args(arguments).args(&urls).env(variable, trusted).output().unwrap()
        };
        let output = run(&ca);
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        let other = Files::new();
        let output = run(other.path("certificate.pem").to_str().unwrap());
        assert!(!output.status.success(), "{name} trusts anybody");
    }
}

/// SDKs ask for the audience `https://<domain>/api/v2/`, whatever they were given as domain.
#[test]
fn a_token_can_be_asked_for_by_every_name_of_the_server() {
    let server = Server::ephemeral_with_tls(&[]);
    let ask = |audience: &str| {
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}&audience={}",
            text(&server, "client_id"),
            text(&server, "client_secret"),
            escape(audience)
        );
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        server.request("POST", "/oauth/token", &headers, form.as_bytes())
    };
    let port = |name: &str| text(&server, name).rsplit_once(':').unwrap().1.to_owned();
    let (https, http) = (port("url"), port("http_url"));
    for name in [
        format!("https://127.0.0.1:{https}"),
        format!("https://localhost:{https}"),
        format!("https://[::1]:{https}"),
        format!("http://127.0.0.1:{http}"),
        format!("http://localhost:{http}"),
    ] {
        let answer = ask(&format!("{name}/api/v2/"));
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        assert_eq!(server.get_as("/api/v2/connections", &token).status, 200);
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["aud"], format!("{}/api/v2/", text(&server, "url")));
        assert_eq!(claims["iss"], format!("{}/", text(&server, "url")));
    }
    for foreign in [
        format!("https://localhost:{http}/api/v2/"),
        format!("https://localhost:{https}/api/v2"),
        format!("https://localhost:{https}/api/v3/"),
        format!("https://localhost:{https}.evil.test/api/v2/"),
        format!("https://evil.test:{https}/api/v2/"),
        "https://localhost/api/v2/".to_owned(),
    ] {
        let answer = ask(&foreign);
        assert_eq!((answer.status, &answer.json()["error"]), (403, &json!("access_denied")), "{foreign}");
    }
}

#[test]
fn a_grant_by_another_name_of_the_server_is_a_grant_for_the_server() {
    let server = Server::ephemeral_with_tls(&[]);
    let alias = format!("{}/api/v2/", text(&server, "url").replace("127.0.0.1", "localhost"));
    let grants = server.get(&format!("/api/v2/client-grants?audience={}", escape(&alias))).json();
    assert_eq!(grants.as_array().map(Vec::len), Some(1), "{grants}");
    assert_eq!(grants[0]["audience"], format!("{}/api/v2/", text(&server, "url")));
    let body = json!({ "client_id": text(&server, "client_id"), "audience": alias, "scope": [] });
    assert_eq!(server.send("POST", "/api/v2/client-grants", &body).status, 409);
}

#[test]
fn an_import_over_https_trusts_the_file_it_is_given() {
    let server = Server::ephemeral_with_tls(&[]);
    let (url, ca) = (text(&server, "url"), text(&server, "ca_file"));
    let files = Files::new();
    let other = files.path("certificate.pem");
    let rows = files.path("users.json");
    fs::write(&rows, json!([{ "email": "ann@acme.test", "email_verified": true }]).to_string()).unwrap();
    let import = |more: &[&str]| {
        let arguments = ["import", rows.to_str().unwrap(), "--url", &url, "--token", &server.token];
        intake(&[&arguments, more].concat(), &[]).output().unwrap()
    };
    for more in [&[][..], &["--ca-file", other.to_str().unwrap()]] {
        let output = import(more);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("no answer from"), "{}", stderr(&output));
    }
    let output = import(&["--ca-file", rows.to_str().unwrap()]);
    assert!(stderr(&output).contains("there is no certificate in it"), "{}", stderr(&output));
    let output = import(&["--ca-file", &ca]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(server.user("ann@acme.test")["email_verified"], true);
}

#[test]
fn commands_on_the_same_machine_go_on_over_plain_http() {
    let files = Files::new();
    let rows = files.path("users.json");
    let import = |email: &str| {
        fs::write(&rows, json!([{ "email": email, "email_verified": true }]).to_string()).unwrap();
        let data = files.path("data");
        files.with_settings(|settings| {
            let settings = [settings, &[("INTAKE_STORAGE_PATH", data.to_str().unwrap())]].concat();
            intake(&["import", rows.to_str().unwrap()], &settings).output().unwrap()
        })
    };
    let (server, ..) = files.serve();
    let output = import("ann@acme.test");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("using the server at http://"), "{}", stderr(&output));
    assert!(server.stop().success());
    // A server of its own needs no certificate.
    fs::remove_file(files.path("key.pem")).unwrap();
    let output = import("bob@acme.test");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}
