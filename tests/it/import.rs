//! Members of another system: their hashes are taken as they are, and made anew when the password is at hand.

use std::process::Output;

use serde_json::{Value, json};

use crate::audit::log;
use crate::support::{Conn, Engine, Options, Server, Session, Tenant, on_both_engines};
use crate::watch::metric;

on_both_engines! {
    members_come_with_their_hashes_and_sign_in
    a_line_is_imported_whole_or_named_with_its_faults
    members_can_be_taken_along_with_their_passwords
    a_wrong_password_of_an_imported_member_is_counted_as_usual
}

/// All of `password`, made with libxcrypt and OpenSSL.
const HASHES: [&str; 6] = [
    "$2a$06$abcdefghijklmnopqrstuuNBpXtlux7FnXJE0fnrtkSXNhdOGmWHu",
    "$2b$06$abcdefghijklmnopqrstuuNBpXtlux7FnXJE0fnrtkSXNhdOGmWHu",
    "$2y$06$abcdefghijklmnopqrstuuNBpXtlux7FnXJE0fnrtkSXNhdOGmWHu",
    "$scrypt$ln=14,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$6iMJXpgeItuXSS3ial5ceU6o+LQA0aKIA8ORmTlhNMU",
    "$pbkdf2-sha256$i=4096,l=32$AAECAwQFBgcICQoLDA0ODw$kXAOPElOEAcXAIZmAe/UhuQ3ZfqLQrmhKSAzhqXKUJs",
    "$pbkdf2-sha512$i=1000,l=64$AAECAwQFBgcICQoLDA0ODw$x05AgND7tB/uWGjA/2D9dayuJjghWYfl/1T46uIRM5ta0a9uOHvBLdOnC7blqQEIFBxfCONToumEQ5pDM8Qtbg",
];
const PASSWORD: &str = "password";
/// What bcrypt knows of it is its first 72 bytes.
const LONG: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 and more";
const HASH_OF_LONG: &str = "$2b$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui";

fn line(email: &str, hash: &str) -> String {
    json!({ "email": email, "name": "Grace", "role": "employee", "password_hash": hash }).to_string()
}

fn import(server: &Server, slug: &str, lines: &[String]) -> (Output, Vec<Value>) {
    let output = server.cli(&["member", "import", slug], &lines.join("\n"));
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    let said = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output, said)
}

/// The same tenant with another member in the place of its admin.
fn of(acme: &Tenant, email: &str) -> Tenant {
    Tenant { email: email.to_owned(), ..acme.clone() }
}

async fn members_come_with_their_hashes_and_sign_in(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let emails: Vec<_> = (0..HASHES.len()).map(|n| format!("m{n}@example.com")).collect();
    let mut lines: Vec<_> = emails.iter().zip(HASHES).map(|(email, hash)| line(email, hash)).collect();
    lines.push(line("long@example.com", HASH_OF_LONG));
    let (output, said) = import(&server, "acme", &lines);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(said, [json!({ "slug": "acme", "imported": 7, "refused": 0 })]);

    let mut conn = Conn::to(&server, &acme).await;
    for email in &emails {
        let member = of(&acme, email);
        conn.login(&member, "Password").await.is_problem(401, "invalid-credentials");
        // The first time with the hash as it came and for the one that takes its place, then with that one alone.
        for hashes in [2, 1] {
            let counted = server.count("hashes").await;
            Session::of(&conn.login(&member, PASSWORD).await);
            assert_eq!(server.count("hashes").await - counted, hashes, "{email}");
        }
    }
    assert_eq!(metric(&server, "freehold_password_rehashes_total").await, 6);
    // Of a password longer than bcrypt's nothing is known but its beginning: its hash stays.
    let long = of(&acme, "long@example.com");
    for password in [LONG, &LONG[..72]] {
        let counted = server.count("hashes").await;
        Session::of(&conn.login(&long, password).await);
        assert_eq!(server.count("hashes").await - counted, 1);
    }
    conn.login(&long, &LONG[..71]).await.is_problem(401, "invalid-credentials");
    assert_eq!(metric(&server, "freehold_password_rehashes_total").await, 6);

    let access = conn.sign_in(&acme).await.access;
    let rows: Vec<_> = log(&mut conn, &access).await.into_iter().filter(|r| r["action"] == "member.imported").collect();
    assert_eq!(rows.len(), 7);
    assert!(rows.iter().all(|row| row["actor"] == json!({ "kind": "operator" }) && row["subject"].is_string()));
    let verified = server.cli(&["audit", "verify", "acme"], "");
    assert!(verified.status.success(), "{verified:?}");

    // What is stored is argon2id: a server that makes the same does nothing more.
    let server = server.restarted();
    let mut conn = Conn::to(&server, &acme).await;
    for email in &emails {
        Session::of(&conn.login(&of(&acme, email), PASSWORD).await);
    }
    assert_eq!(metric(&server, "freehold_password_rehashes_total").await, 0);
}

async fn a_line_is_imported_whole_or_named_with_its_faults(engine: Engine) {
    let mut server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let lines = [
        line("first@example.com", HASHES[1]),
        line("ADA@example.com", HASHES[1]),
        "not JSON".to_owned(),
        String::new(),
        line("no address", "$2b$31$abcdefghijklmnopqrstuuNBpXtlux7FnXJE0fnrtkSXNhdOGmWHu"),
        line("first@example.com", HASHES[3]),
        "x".repeat(10_000),
        line("last@example.com", HASHES[4]),
    ];
    let (output, mut said) = import(&server, "acme", &lines);
    assert_eq!(output.status.code(), Some(65), "{output:?}");
    assert_eq!(said.pop().unwrap(), json!({ "slug": "acme", "imported": 2, "refused": 5 }));
    said.sort_by_key(|refused| refused["line"].as_u64());
    let faults: Vec<_> = said.iter().map(|r| (r["line"].as_u64().unwrap(), r["fault"].as_str().unwrap())).collect();
    let numbers: Vec<_> = faults.iter().map(|(line, _)| *line).collect();
    assert_eq!(numbers, [2, 3, 5, 6, 7]);
    assert_eq!((faults[0].1, faults[3].1), ("email: is a member's already", "email: is a member's already"));
    assert!(faults[1].1.contains("is not a JSON object") && faults[4].1.contains("longer than 8 KiB"), "{faults:?}");
    assert!(faults[2].1.starts_with("email: ") && faults[2].1.contains("; password_hash: the cost"), "{faults:?}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("$2b$") && !server.log().contains("$2b$"));

    let mut conn = Conn::to(&server, &acme).await;
    conn.sign_in(&acme).await; // whoever was there before is as before
    for email in ["first@example.com", "last@example.com"] {
        Session::of(&conn.login(&of(&acme, email), PASSWORD).await);
    }
    let (output, said) = import(&server, "nobody", &lines[..1]);
    assert_eq!((output.status.code(), said[0]["imported"].as_u64()), (Some(65), Some(0)));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no tenant nobody"), "{output:?}");

    // Without a server the verb opens the store itself: once, for more lines than one batch holds.
    assert_eq!(server.terminate(), Some(0));
    let many: Vec<_> = (0..500).map(|n| line(&format!("many{n}@example.com"), HASHES[5])).collect();
    let (output, said) = import(&server, "acme", &many);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(said, [json!({ "slug": "acme", "imported": 500, "refused": 0 })]);
    let server = server.restarted();
    let mut conn = Conn::to(&server, &acme).await;
    Session::of(&conn.login(&of(&acme, "many499@example.com"), PASSWORD).await);
}

async fn a_wrong_password_of_an_imported_member_is_counted_as_usual(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let (output, _) = import(&server, "acme", &[line("grace@example.com", HASHES[1])]);
    assert!(output.status.success(), "{output:?}");
    let (grace, mut conn) = (of(&acme, "grace@example.com"), Conn::to(&server, &acme).await);
    for _ in 0..5 {
        conn.login(&grace, "Password").await.is_problem(401, "invalid-credentials");
    }
    conn.login(&grace, PASSWORD).await.is_problem(429, "account-locked");
    assert_eq!(metric(&server, "freehold_password_rehashes_total").await, 0, "only the right password is known");
}

async fn members_can_be_taken_along_with_their_passwords(engine: Engine) {
    let mut server = Server::start(Options::new(engine).limits_off()).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let without_password = r#"{"email": "none@example.com", "name": "None", "role": "sales_rep"}"#;
    let lines = [
        line("m1@example.com", HASHES[1]),
        line("m3@example.com", HASHES[3]),
        line("gone@example.com", HASHES[1]),
        without_password.to_owned(),
    ];
    assert!(import(&server, "acme", &lines).0.status.success());
    let mut conn = Conn::to(&server, &acme).await;
    Session::of(&conn.login(&of(&acme, "m1@example.com"), PASSWORD).await); // its hash is argon2id from now on
    let access = conn.sign_in(&acme).await.access;
    let members = conn.get("/v1/members", Some(&access)).await.is(200).json();
    let gone =
        members["items"].as_array().unwrap().iter().find(|member| member["email"] == "gone@example.com").unwrap();
    let path = format!("/v1/members/{}/deactivate", gone["id"].as_str().unwrap());
    conn.post(&path, Some(&access), &json!({})).await.is(200);

    let exported = server.cli(&["member", "export", "acme"], "");
    assert!(exported.status.success(), "{exported:?}");
    let said = String::from_utf8(exported.stderr).unwrap();
    assert!(said.contains(r#"{"deactivated":1,"exported":4,"slug":"acme"}"#), "{said}");
    let lines: Vec<_> = String::from_utf8(exported.stdout).unwrap().lines().map(str::to_owned).collect();
    let find = |email: &str| -> Value {
        serde_json::from_str(lines.iter().find(|line| line.contains(email)).expect(email)).unwrap()
    };
    assert_eq!(lines.len(), 4);
    for (email, scheme) in [("m1@", "$argon2id$"), ("m3@", "$scrypt$"), (acme.email.as_str(), "$argon2id$")] {
        assert!(find(email)["password_hash"].as_str().unwrap().starts_with(scheme), "{lines:?}");
    }
    assert_eq!(find("none@"), serde_json::from_str::<Value>(without_password).unwrap());
    let row = log(&mut conn, &access).await.into_iter().find(|row| row["action"] == "members.exported").unwrap();
    assert_eq!((&row["actor"], &row["subject"]), (&json!({ "kind": "operator" }), &json!(acme.id)));
    assert!(!server.log().contains("$scrypt$") && !server.log().contains("$argon2id$m"));

    // Elsewhere they sign in as before, but for the admin, who is there already.
    let (output, said) = import(&server, "globex", &lines);
    assert_eq!(output.status.code(), Some(65), "{output:?}");
    assert_eq!(said.last(), Some(&json!({ "slug": "globex", "imported": 3, "refused": 1 })));
    let mut at_globex = Conn::to(&server, &globex).await;
    for email in ["m1@example.com", "m3@example.com"] {
        Session::of(&at_globex.login(&of(&globex, email), PASSWORD).await);
    }
    at_globex.login(&of(&globex, "none@example.com"), PASSWORD).await.is_problem(401, "invalid-credentials");
    assert_eq!(server.cli(&["member", "export", "nobody"], "").status.code(), Some(65));
    // The same without a running server.
    assert_eq!(server.terminate(), Some(0));
    let offline = server.cli(&["member", "export", "acme"], "");
    assert_eq!(String::from_utf8(offline.stdout).unwrap().lines().collect::<Vec<_>>(), lines);
}
