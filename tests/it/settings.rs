//! What a tenant decides for itself: read and changed by its admins, in force on the next request, and recorded.

use serde_json::{Value, json};

use crate::audit;
use crate::support::{Conn, Engine, Options, Server, Session, on_both_engines};

const SETTINGS: &str = "/v1/settings";

on_both_engines! {
    a_change_is_whole_in_force_and_recorded
    what_cannot_be_a_setting_is_named_and_changes_nothing
    a_lost_answer_to_a_refresh_is_given_again_within_the_grace
    sessions_end_when_they_are_idle_or_old
    what_a_notice_says_is_cleaned_when_it_is_written
    a_short_password_needs_a_second_factor_that_is_always_asked_for
}

fn defaults() -> Value {
    json!({
        "registration": "closed", "require_second_factor": "off", "second_factor_roles": [],
        "second_factor_grace_s": 0, "refresh_reuse_grace_s": 0, "support_access": false,
        "session_idle_s": 2_592_000, "session_lifetime_s": 2_592_000,
        "password_chars_min": 15, "password_chars_min_with_second_factor": 8, "notice_html": "",
    })
}

async fn a_change_is_whole_in_force_and_recorded(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let access = conn.sign_in(&acme).await.access;
    let read = conn.get(SETTINGS, Some(&access)).await;
    assert_eq!((read.is(200).json(), read.header("cache-control")), (defaults(), Some("no-store")));

    let change = json!({ "registration": "open", "second_factor_roles": ["employee", "admin"], "session_idle_s": 900 });
    let answer = conn.patch(SETTINGS, &access, &change).await;
    let mut expected = defaults();
    expected["registration"] = json!("open");
    expected["second_factor_roles"] = json!(["admin", "employee"]);
    expected["session_idle_s"] = json!(900);
    assert_eq!(answer.is(200).json(), expected);
    assert_eq!(conn.get(SETTINGS, Some(&access)).await.json(), expected);
    for nothing in [json!({}), change] {
        assert_eq!(conn.patch(SETTINGS, &access, &nothing).await.is(200).json(), expected, "the same once more");
    }

    let log = audit::log(&mut conn, &access).await;
    let [row] = log.iter().filter(|row| row["action"] == "settings.changed").collect::<Vec<_>>()[..] else {
        panic!("one row for one change: {log:?}");
    };
    assert_eq!((row["subject"].as_str(), row["actor"]["kind"].as_str()), (Some(acme.id.as_str()), Some("member")));
    assert_eq!(row["request_id"].as_str(), answer.header("x-request-id"));
    assert_eq!(
        row["changes"],
        json!([
            { "field": "registration", "from": "closed", "to": "open" },
            { "field": "second_factor_roles", "from": "", "to": "admin employee" },
            { "field": "session_idle_s", "from": "2592000", "to": "900" },
        ])
    );
    assert!(server.cli(&["audit", "verify", "acme"], "").status.success());

    let server = server.restarted();
    let mut conn = Conn::to(&server, &acme).await;
    assert_eq!(conn.get(SETTINGS, Some(&access)).await.is(200).json(), expected, "it outlives the server");
}

/// The way there and back of what an admin writes for everybody who comes: nothing that could run is ever stored or shown.
async fn what_a_notice_says_is_cleaned_when_it_is_written(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let access = conn.sign_in(&acme).await.access;
    let written = "<h2>Hours</h2><p onclick=alert(1)>We are <b>open</b>.<script>alert(1)</script>\
                   <img src=x onerror=alert(1)> <a href=\"https://example.com/\" target=_top>More</a></p>";
    let left = "<h2>Hours</h2><p>We are <b>open</b>. \
                <a href=\"https://example.com/\" rel=\"noopener noreferrer nofollow\">More</a></p>";
    for _ in 0..2 {
        let answer = conn.patch(SETTINGS, &access, &json!({ "notice_html": written })).await;
        assert_eq!(answer.is(200).json()["notice_html"], left);
        assert_eq!(conn.get(SETTINGS, Some(&access)).await.json()["notice_html"], left);
    }
    let home = conn.get("/", None).await;
    let page = String::from_utf8_lossy(&home.is(200).body).into_owned();
    assert!(page.contains(&format!("<h1>acme</h1>{left}<p>")), "{page}");
    assert!(!page.contains("alert"), "{page}");
    let log = audit::log(&mut conn, &access).await;
    let changes: Vec<_> = log.iter().filter(|row| row["action"] == "settings.changed").collect();
    assert_eq!(changes.len(), 1, "written once more it is the same: {changes:?}");
    let told = changes[0]["changes"][0]["to"].as_str().unwrap();
    assert!(told.starts_with(&format!("{} bytes, SHA-256 ", left.len())), "{told}");
    conn.patch(SETTINGS, &access, &json!({ "notice_html": " " })).await.is(200);
    let page = conn.get("/", None).await;
    assert!(String::from_utf8_lossy(&page.is(200).body).contains("<h1>acme</h1><p>Served"));
}

async fn what_cannot_be_a_setting_is_named_and_changes_nothing(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let access = conn.sign_in(&acme).await.access;
    for (body, fields) in [
        (json!({ "registration": "maybe" }), vec!["registration"]),
        (json!({ "registration": 1 }), vec!["registration"]),
        (json!({ "registration": null }), vec!["registration"]),
        (json!({ "session_idle_s": null }), vec!["session_idle_s"]),
        (json!({ "require_second_factor": "roles" }), vec!["second_factor_roles"]),
        (
            json!({ "second_factor_roles": ["owner", "admin", "admin"] }),
            vec!["second_factor_roles[0]", "second_factor_roles[2]"],
        ),
        (json!({ "support_access": "yes" }), vec!["support_access"]),
        (
            json!({ "refresh_reuse_grace_s": 61, "session_idle_s": 899 }),
            vec!["refresh_reuse_grace_s", "session_idle_s"],
        ),
        (
            json!({ "session_lifetime_s": 7_776_001, "second_factor_grace_s": 7_776_001 }),
            vec!["second_factor_grace_s", "session_lifetime_s"],
        ),
        (
            json!({ "password_chars_min": 14, "password_chars_min_with_second_factor": 7 }),
            vec!["password_chars_min", "password_chars_min_with_second_factor"],
        ),
        (json!({ "notice_html": "x".repeat(8_193) }), vec!["notice_html"]),
        (json!({ "notice_html": null }), vec!["notice_html"]),
        (json!({ "session_idle_s": -1 }), vec!["session_idle_s"]),
        (json!({ "session_idle_s": 4_294_967_296_u64 }), vec!["session_idle_s"]),
        (json!({ "second_factor_required_at_ms": 0 }), vec!["second_factor_required_at_ms"]),
    ] {
        let answer = conn.patch(SETTINGS, &access, &body).await;
        answer.is_problem(400, "validation");
        let errors = answer.json()["errors"].clone();
        let named: Vec<_> = errors.as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
        assert_eq!(named, fields, "{body}");
    }
    assert_eq!(conn.get(SETTINGS, Some(&access)).await.json(), defaults());
    conn.get("/v1/settings?x=1", Some(&access)).await.is_problem(400, "validation");
    conn.get(SETTINGS, None).await.is_problem(401, "unauthenticated");

    server.run_sql(&acme, "UPDATE member SET role = 'sales_rep'").await;
    let session = conn.sign_in(&acme).await;
    conn.get(SETTINGS, Some(&session.access)).await.is_problem(403, "forbidden");
    conn.patch(SETTINGS, &session.access, &json!({ "registration": "open" })).await.is_problem(403, "forbidden");
}

async fn a_lost_answer_to_a_refresh_is_given_again_within_the_grace(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let first = conn.sign_in(&acme).await;
    conn.patch(SETTINGS, &first.access, &json!({ "refresh_reuse_grace_s": 60 })).await.is(200);

    let second = Session::of(&conn.refresh(&first.refresh).await);
    for _ in 0..3 {
        let again = Session::of(&conn.refresh(&first.refresh).await);
        assert_eq!((&again.refresh, &again.id), (&second.refresh, &first.id), "the same successor");
        assert_eq!(conn.me(&again.access).await, 200);
    }
    // Used once, the successor makes its parent a replay, and so it is for the grandparent.
    let third = Session::of(&conn.refresh(&second.refresh).await);
    assert_eq!(Session::of(&conn.refresh(&second.refresh).await).refresh, third.refresh);
    conn.refresh(&first.refresh).await.is_problem(401, "unauthenticated");
    conn.refresh(&third.refresh).await.is_problem(401, "unauthenticated");
    assert_eq!(conn.me(&third.access).await, 401);

    // When the grace is over, the parent is a replay though nobody used the successor.
    let first = conn.sign_in(&acme).await;
    let second = Session::of(&conn.refresh(&first.refresh).await);
    server.run_sql(&acme, "UPDATE spent_token SET reusable_until_ms = reusable_until_ms - 60000").await;
    conn.refresh(&first.refresh).await.is_problem(401, "unauthenticated");
    conn.refresh(&second.refresh).await.is_problem(401, "unauthenticated");
}

async fn sessions_end_when_they_are_idle_or_old(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let asking = conn.sign_in(&acme).await;
    let (idle, busy, old) = (conn.sign_in(&acme).await, conn.sign_in(&acme).await, conn.sign_in(&acme).await);
    conn.patch(SETTINGS, &asking.access, &json!({ "session_idle_s": 900, "session_lifetime_s": 3_600 })).await.is(200);
    let age = async |session: &Session, begun_s: u32, used_s: u32| {
        let id = session.id.replace('-', "");
        let id = if engine == Engine::Sqlite { format!("x'{id}'") } else { format!("'{}'", session.id) };
        let sql = format!(
            "UPDATE token_family SET created_at_ms = created_at_ms - {begun_s}000, last_used_at_ms = last_used_at_ms - {used_s}000 WHERE id = {id}"
        );
        server.run_sql(&acme, &sql).await;
    };
    age(&idle, 900, 900).await;
    age(&busy, 3_000, 600).await;
    age(&old, 3_600, 10).await;
    let page = conn.get("/v1/sessions", Some(&asking.access)).await.is(200).json();
    let listed: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(listed, [asking.id.as_str(), &busy.id]);
    for ended in [&idle, &old] {
        conn.refresh(&ended.refresh).await.is_problem(401, "unauthenticated");
    }
    let pair = conn.refresh(&busy.refresh).await.is(200).json();
    let left = pair["refresh_expires_in"].as_u64().unwrap();
    assert!((500..=600).contains(&left), "{left}");
}

async fn a_short_password_needs_a_second_factor_that_is_always_asked_for(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let enrolled = crate::second_factor::Enrolled::at(&mut conn, &acme).await;
    let access = enrolled.session.access;
    let eight = json!({ "current_password": acme.password, "new_password": "8 signs!" });
    let refused = conn.post("/v1/auth/password", Some(&access), &eight).await;
    refused.is_problem(400, "validation");
    assert_eq!(
        refused.json()["errors"],
        json!([{ "field": "new_password", "message": "must have at least 15 characters" }])
    );
    conn.patch(SETTINGS, &access, &json!({ "require_second_factor": "all" })).await.is(200);
    Session::of(&conn.post("/v1/auth/password", Some(&access), &eight).await);
}
