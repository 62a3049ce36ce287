//! Rules that are wrong, that fail, and bodies that are too large for them.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use super::{MATCHES, UNSEEN, found, options, start, start_with};
use crate::support::{Conn, Engine, Folder, Server, freehold};
use crate::watch::metric;

/// How long a server may take to refuse.
const PATIENCE: Duration = Duration::from_secs(30);
const BAD: &str = "FREEHOLD_WAF_RULES: ";

/// What a server says that does not start with these rules.
fn refusal(rules: &str) -> Vec<String> {
    let folder = Folder::new();
    let mut command = freehold();
    command.env("FREEHOLD_PROFILE", "development").env("FREEHOLD_DATA_DIR", folder.path().join("data"));
    command.envs([("FREEHOLD_HTTP_LISTEN", "127.0.0.1:0"), ("FREEHOLD_PRIVATE_LISTEN", "127.0.0.1:0")]);
    command.env("FREEHOLD_WAF_RULES", rules).arg("serve").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let since = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if since.elapsed() > PATIENCE {
            child.kill().unwrap();
        }
        thread::yield_now();
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(78), 0), "{said}");
    assert!(!folder.path().join("data").exists(), "nothing is made");
    said.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_rules_is_named_with_its_line() {
    let folder = Folder::new();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let cases = [
        ("SecRule ARGS\n", 1, "operator"),
        ("# a\n\nSecRule ARGS \"@rx a\" \\\n    \"id:10,phase:2,pass\"\nSecRule ARGS \"@rex a\" \"id:11\"\n", 5, "rex"),
        ("SecRule ARGS \"@rx a\" \"id:10,phase:2,pass\"\nSecRule ARGS \"@rx a\" \"id:10,phase:2,pass\"\n", 2, "10"),
        ("\nInclude other.conf\n", 2, "Include"),
        ("SecRuleEngine DetectionOnly\n", 1, "waf.mode"),
        ("SecRuleRemoveByTag attack\n", 1, "SecRuleRemoveByTag"),
        ("SecRequestBodyAccess Off\n", 1, "SecRequestBodyAccess"),
        ("\n\nSecRule ARGS \"@pmFromFile none.data\" \"id:10,phase:2,pass\"\n", 3, "none.data"),
        ("SecRule ARGS \"@rx a\" \"id:10,phase:2,pass,t:nothing\"\n", 1, "nothing"),
        ("nonsense\n", 1, "nonsense"),
    ];
    for (text, line, word) in cases {
        fs::write(path("bad.conf"), text).unwrap();
        let said = refusal(&path("bad.conf"));
        let begins = format!("{BAD}{} line {line}: ", path("bad.conf"));
        assert!(matches!(&said[..], [one] if one.starts_with(&begins) && one.contains(word)), "{text}: {said:?}");
    }
    fs::write(path("bad.conf"), "Include a\nSecRule ARGS\n").unwrap();
    fs::write(path("binary.conf"), b"\xff\xfe").unwrap();
    let said = refusal(&format!("{},{},{}", path("*.conf"), path("none.conf"), path("x*.conf")));
    assert!(said.iter().all(|line| line.starts_with(BAD)), "{said:?}");
    let ends = ["bad.conf line 1", "bad.conf line 2", "binary.conf: cannot", "none.conf: there", "x*.conf: there"];
    assert!(said.len() == 5 && said.iter().zip(ends).all(|(line, end)| line.contains(end)), "all at once: {said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_ones_own_hold_and_exclude() {
    let folder = Folder::new();
    let path = folder.path().join("own.conf");
    let text = "SecRule ARGS \"@streq stop\" \"id:10,phase:2,deny,log\"\n\
        SecRule ARGS:a \"@streq quiet\" \"id:11,phase:2,pass,nolog\"\n\
        SecRule ARGS:a \"@streq chained\" \"id:12,phase:2,deny,log,chain\"\n  SecRule ARGS:b \"@streq too\"\n\
        SecRule REQUEST_URI \"@beginsWith /help\" \"id:13,phase:1,pass,nolog,ctl:ruleRemoveById=10\"\n\
        SecRule ARGS:a \"@streq skip\" \"id:14,phase:2,pass,nolog,skipAfter:END\"\nSecMarker END\n\
        SecRule ARGS:a \"@rx ^skip$\" \"id:15,phase:2,deny,log\"\n\
        SecRule ARGS:a \"@rx (?<!x)stop\" \"id:16,phase:2,deny,log\"\n\
        SecRule ARGS:c \"@streq one\" \"id:17,phase:2,pass,nolog,chain\"\n  SecRule ARGS:d \"@streq two\" \"setvar:tx.both=1\"\n\
        SecRule TX:both \"@eq 1\" \"id:18,phase:2,deny,log\"\n";
    fs::write(&path, text).unwrap();
    let server = start_with(Engine::Sqlite, path.to_str().unwrap(), "block").await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    for (target, status) in [
        ("/?a=stop", 403),
        ("/?a=go", 200),
        ("/help/roles?a=stop", 200),
        ("/?a=quiet", 200),
        ("/?a=chained", 200),
        ("/?b=too", 200),
        ("/?a=chained&b=too", 403),
        ("/?c=one", 200),
        ("/?d=two", 200),
        ("/?c=one&d=two", 403), // by what the last rule of a chain sets
        ("/?a=skip", 403),      // a rule after a marker that follows at once
    ] {
        assert_eq!(conn.get(target, None).await.status.as_u16(), status, "{target}");
    }
    for rule in ["10", "12", "15", "18"] {
        assert_eq!(found(&server, rule, "block").await, 1, "{rule}");
    }
    assert_eq!(metric(&server, MATCHES).await, 4, "neither what is not to be told nor half a chain");
    assert!(
        server.log().lines().any(|line| line.contains("never match") && line.contains("\"16\"")),
        "{}",
        server.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_rule_set_is_wrong_about_is_taken_out_as_the_documentation_says() {
    let folder = Folder::new();
    let (before, after) = (folder.path().join("before.conf"), folder.path().join("after.conf"));
    let text = "SecRule REQUEST_URI \"@beginsWith /help\" \"id:1000,phase:1,pass,nolog,ctl:ruleRemoveById=933160\"\n";
    fs::write(&before, text).unwrap();
    let text = "SecRuleRemoveById 913100\nSecRuleUpdateTargetById 942100 \"!ARGS:json.name\"\n";
    fs::write(&after, text).unwrap();
    let rules = format!("{},{},{}", before.display(), super::RULES, after.display());
    let server = start_with(Engine::Sqlite, &rules, "block").await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    for (target, agent, status) in [
        ("/?c=phpinfo()", "x/1.0", 403),
        ("/help/roles?c=phpinfo()", "x/1.0", 200),
        ("/", "sqlmap/1.7", 200),
        ("/?a=1%20or%201%3D1--", "x/1.0", 403),
    ] {
        let answer = conn.send(conn.request("GET", target, &[("user-agent", agent)], b"")).await;
        assert_eq!(answer.status.as_u16(), status, "{target} {agent}");
    }
    for (field, status) in [("name", 401), ("nickname", 403)] {
        let body = serde_json::json!({ field: "a' or 1=1 --" });
        assert_eq!(conn.post("/v1/invitations", None, &body).await.status.as_u16(), status, "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_rules_fail_block_refuses_and_detect_goes_on() {
    let folder = Folder::new();
    let path = folder.path().join("failing.conf");
    fs::write(&path, "SecRule REQUEST_HEADERS:X-Break \"@rx (%{tx.nothing}\" \"id:10,phase:1,pass\"\n").unwrap();
    let server = Server::start(options(Engine::Sqlite, path.to_str().unwrap(), "block")).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    for (mode, status) in [("block", 500), ("detect", 200), ("off", 200)] {
        super::set(&server, "acme", mode);
        conn.get("/", None).await.is(200);
        let answer = conn.send(conn.request("GET", "/", &[("x-break", "canary-7f3a")], b"")).await;
        assert_eq!(answer.status.as_u16(), status, "{mode}");
    }
    for mode in ["block", "detect"] {
        assert_eq!(metric(&server, &format!("{UNSEEN}{{reason=\"failed\",mode=\"{mode}\"}}")).await, 1);
    }
    assert_eq!(metric(&server, UNSEEN).await, 2);
    assert!(!server.log().contains("canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_for_the_rules_is_refused_or_counted() {
    let server = start(Engine::Sqlite, "detect").await;
    let acme = server.tenant("acme");
    let body = format!("{{\"email\":\"{}<script>alert(1)</script>\"}}", "x".repeat(140_000));
    for (mode, status) in [("detect", 401), ("block", 413)] {
        super::set(&server, "acme", mode);
        let mut conn = Conn::to(&server, &acme).await;
        let headers = [("content-type", "application/json")];
        let answer = conn.send(conn.request("POST", "/v1/invitations", &headers, body.as_bytes())).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
        let mut conn = Conn::to(&server, &acme).await;
        let many = conn.get(&format!("/v1/me?a=phpinfo(){}", "&a".repeat(600)), None).await;
        assert_eq!(many.status.as_u16(), status, "{many:?}");
        let mut conn = Conn::to(&server, &acme).await; // what is too large ends its connection
        let many = format!("[{}1]", "1,".repeat(600));
        let many = conn.send(conn.request("POST", "/v1/me", &headers, many.as_bytes())).await;
        assert_eq!(many.status.as_u16(), if mode == "block" { 413 } else { 405 }, "{many:?}");
        assert_eq!(metric(&server, &format!("{UNSEEN}{{reason=\"large\",mode=\"{mode}\"}}")).await, 3);
    }
    assert_eq!(metric(&server, MATCHES).await, 0);
}
