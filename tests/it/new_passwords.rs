//! How a password is kept, and which new ones are refused.

use std::fs;

use serde_json::json;

use crate::support::{Conn, Engine, Folder, Options, Server, Session, on_both_engines};
use crate::watch::metric;

/// One that was breached, by the digits of its SHA-1: `printf 'correct horse battery staple' | sha1sum`.
const BREACHED: &str = "correct horse battery staple";
const RANGE: &str = "ABF7A";
const SUFFIX: &str = "AD6438836DBE526AA231ABDE2D0EEF74D42";
const NOT_BREACHED: &str = "quite another passphrase";

on_both_engines! {
    a_hash_of_other_parameters_is_made_anew_at_the_next_sign_in
}

async fn a_hash_of_other_parameters_is_made_anew_at_the_next_sign_in(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let before = conn.sign_in(&acme).await;
    assert_eq!(metric(&server, "freehold_password_rehashes_total").await, 0);

    let server = server.restarted_with("FREEHOLD_PASSWORDS_PASSES", "3");
    let mut conn = Conn::to(&server, &acme).await;
    conn.login(&acme, "a wrong password").await.is_problem(401, "invalid-credentials");
    assert_eq!(metric(&server, "freehold_password_rehashes_total").await, 0, "only the right password is known");
    for hashes in [2, 1] {
        let counted = server.count("hashes").await;
        conn.sign_in(&acme).await;
        assert_eq!(server.count("hashes").await - counted, hashes);
    }
    assert_eq!(metric(&server, "freehold_password_rehashes_total").await, 1);
    // It is no change of the credential: what it opened stays open.
    assert_eq!(conn.me(&before.access).await, 200);
    Session::of(&conn.refresh(&before.refresh).await);
    let server = server.restarted();
    Conn::to(&server, &acme).await.sign_in(&acme).await;
    assert_eq!(metric(&server, "freehold_password_rehashes_total").await, 0);
}

/// A folder that knows one breached password, with these other ranges left out.
fn ranges() -> Folder {
    let folder = Folder::new();
    let other = "0018A45C4D1DEF81644B54AB7F969B88D65:3\r\n";
    for range in ["00000", "FFFFF"] {
        fs::write(folder.path().join(format!("{range}.txt")), other).unwrap();
    }
    fs::write(folder.path().join(format!("{RANGE}.txt")), format!("{other}{SUFFIX}:384\r\n")).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breached_password_is_refused_and_nothing_charged() {
    let folder = ranges();
    let options = Options::new(Engine::Sqlite).limits_off();
    let options = options.env("FREEHOLD_PASSWORDS_BREACHED_DIR", folder.path().to_str().unwrap());
    let server = Server::start(options).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    let change = |new: &str| json!({ "current_password": acme.password, "new_password": new });
    let hashed = server.count("hashes").await;
    for _ in 0..6 {
        let refused = conn.post("/v1/auth/password", Some(&session.access), &change(BREACHED)).await;
        refused.is_problem(400, "validation");
        assert_eq!(refused.json()["errors"][0]["field"], "new_password");
    }
    for (weak, fault) in [
        ("dragon1", "must have at least 15 characters"),
        ("iloveyou!iloveyou!", "is one of the commonest passwords: choose another"),
    ] {
        let refused = conn.post("/v1/auth/password", Some(&session.access), &change(weak)).await;
        refused.is_problem(400, "validation");
        assert_eq!(refused.json()["errors"], json!([{ "field": "new_password", "message": fault }]));
        let advice = &refused.json()["advice"];
        assert!(advice["suggestions"].as_array().is_some_and(|all| !all.is_empty()), "{advice}");
        assert!(!String::from_utf8_lossy(&refused.body).contains(weak));
    }
    assert_eq!(server.count("hashes").await, hashed);
    assert_eq!(conn.me(&session.access).await, 200);

    let args = ["tenant", "create", "globex", "--admin-email", "a@globex.example", "--admin-password-stdin"];
    let made = server.cli(&args, BREACHED);
    assert_eq!(made.status.code(), Some(65), "{}", String::from_utf8_lossy(&made.stderr));

    // Its range is not there: nobody can say, and then it is accepted, and counted.
    let unknown = async || metric(&server, "freehold_breached_unknown_total").await;
    assert_eq!(unknown().await, 2, "the admin's password when it was new, and again at the sign-in");
    let session = Session::of(&conn.post("/v1/auth/password", Some(&session.access), &change(NOT_BREACHED)).await);
    assert_eq!(unknown().await, 3);
    assert!(!server.log().contains(BREACHED) && !server.log().contains(NOT_BREACHED));

    // Or it is refused, and nothing is changed.
    let server = server.restarted_with("FREEHOLD_PASSWORDS_BREACHED_UNKNOWN", "refuse");
    let mut conn = Conn::to(&server, &acme).await;
    let other = json!({ "current_password": NOT_BREACHED, "new_password": "yet another passphrase" });
    conn.post("/v1/auth/password", Some(&session.access), &other).await.is_problem(503, "unavailable");
    assert_eq!(conn.me(&session.access).await, 200);
    Session::of(&conn.login(&acme, NOT_BREACHED).await);
}
