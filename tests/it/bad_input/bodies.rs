//! Bodies that are not JSON, or not the JSON that was asked for.

use serde_json::{Value, json};

use super::{Scene, is_invalid, operations};

#[tokio::test]
async fn what_is_not_the_object_that_was_asked_for_is_named() {
    let mut scene = Scene::new().await;
    for (path, good) in operations() {
        let first = good.as_object().unwrap().keys().next().unwrap().clone();
        let text = good.to_string();
        let closed = text.strip_suffix('}').unwrap();
        let whole: [Vec<u8>; 13] = [
            b"{".into(),
            b"nonsense".into(),
            b"null".into(),
            b"[]".into(),
            b"\"x\"".into(),
            b"7".into(),
            b" ".into(),
            closed.into(),
            format!("{closed},}}").into(),
            format!("{text}{text}").into(),
            format!("{text} x").into(),
            [b"{\"".as_slice(), first.as_bytes(), b"\": \"\xff\xfe\"}"].concat(),
            format!("{{\"{first}\": \"\\ud800\"}}").into(),
        ];
        for body in whole {
            let what = format!("{path} {}", String::from_utf8_lossy(&body));
            is_invalid(&scene.post_json(path, &body).await, &["(body)"], &what);
        }
        let named: [(String, &str); 10] = [
            (format!("{closed},\"extra\":1}}"), "extra"),
            (format!("{closed},\"__proto__\":{{}}}}"), "__proto__"),
            (format!("{closed},\"<script>\":1}}"), "(unknown)"),
            (format!("{closed},\"{first}\":\"twice\"}}"), &first),
            (format!("{closed},\"\\u{:04x}{}\":\"twice\"}}", u32::from(first.as_bytes()[0]), &first[1..]), &first),
            (format!("{{\"{first}\":7}}"), &first),
            (format!("{{\"{first}\":true}}"), &first),
            (format!("{{\"{first}\":[\"x\"]}}"), &first),
            (format!("{{\"{first}\":{{}}}}"), &first),
            (format!("{{\"{first}\":{}", "[".repeat(15_000)), &first),
        ];
        for (body, field) in named {
            is_invalid(&scene.post_json(path, body.as_bytes()).await, &[field], &format!("{path} {body:.200}"));
        }
    }
    let transport = json!({ "email": "ada@example.com", "password": "x", "transport": "pigeon" });
    is_invalid(&scene.post_json("/v1/auth/login", transport.to_string().as_bytes()).await, &["transport"], "pigeon");
    for wrong in [json!(1), json!(true), json!(["body"]), json!({ "body": null })] {
        let login = json!({ "email": "ada@example.com", "password": "x", "transport": wrong }).to_string();
        is_invalid(&scene.post_json("/v1/auth/login", login.as_bytes()).await, &["transport"], &login);
    }
    scene.nothing_changed().await;
}

#[tokio::test]
async fn no_text_of_any_body_holds_nul_or_a_line_break() {
    let mut scene = Scene::new().await;
    for (path, good) in operations() {
        for field in good.as_object().unwrap().keys() {
            for wrong in ['\0', '\r', '\n'] {
                let mut body = good.clone();
                let text = body[field].as_str().unwrap().to_owned();
                for bad in [format!("{text}{wrong}"), format!("{wrong}{text}"), format!("{}{wrong}x", &text[..3])] {
                    body[field] = Value::String(bad);
                    let answer = scene.post_json(path, body.to_string().as_bytes()).await;
                    is_invalid(&answer, &[field], &format!("{path} {body}"));
                }
                // Unescaped, it is not JSON at all.
                let raw = good.to_string().replacen(&text, &format!("{text}{wrong}"), 1);
                is_invalid(&scene.post_json(path, raw.as_bytes()).await, &["(body)"], &format!("{path} {raw:?}"));
            }
        }
    }
    scene.nothing_changed().await;
}

#[tokio::test]
async fn everything_that_is_missing_or_wrong_is_told_at_once() {
    let mut scene = Scene::new().await;
    let cases: [(&str, Value, &[&str]); 21] = [
        ("/v1/auth/login", json!({}), &["email", "password"]),
        ("/v1/auth/login", json!({ "email": null, "password": null }), &["email", "password"]),
        ("/v1/auth/login", json!({ "email": "", "password": "" }), &["email", "password"]),
        ("/v1/auth/login", json!({ "email": "ada", "password": "x\ny" }), &["email", "password"]),
        ("/v1/auth/password", json!({}), &["current_password", "new_password"]),
        (
            "/v1/auth/password",
            json!({ "current_password": "", "new_password": "" }),
            &["current_password", "new_password"],
        ),
        ("/v1/auth/refresh", json!({}), &["refresh_token"]),
        ("/v1/auth/password/forgot", json!({ "email": "ada" }), &["email"]),
        ("/v1/auth/password/reset", json!({ "token": "" }), &["token", "new_password"]),
        ("/v1/auth/register", json!({ "email": "a@b c", "name": "\u{202e}" }), &["email", "password", "name"]),
        ("/v1/auth/email/verify", json!({}), &["token"]),
        ("/v1/auth/second-factor", json!({}), &["challenge", "totp"]),
        ("/v1/auth/second-factor", json!({ "challenge": "x", "totp": null }), &["totp"]),
        ("/v1/auth/second-factor", json!({ "challenge": "x", "totp": "123456", "backup_code": "x" }), &["backup_code"]),
        ("/v1/auth/second-factor", json!({ "challenge": "", "totp": "12345" }), &["challenge", "totp"]),
        ("/v1/auth/second-factor", json!({ "challenge": "x", "backup_code": "0000" }), &["backup_code"]),
        ("/v1/auth/totp/confirm", json!({}), &["code"]),
        ("/v1/auth/totp/confirm", json!({ "code": "12345a" }), &["code"]),
        ("/v1/auth/totp/confirm", json!({ "code": 123_456 }), &["code"]),
        ("/v1/auth/totp/enrol", json!({ "secret": "mine" }), &["secret"]),
        ("/v1/auth/backup-codes", json!({ "count": 11 }), &["count"]),
    ];
    for (path, body, fields) in cases {
        let answer = scene.post_json(path, body.to_string().as_bytes()).await;
        is_invalid(&answer, fields, &format!("{path} {body}"));
    }
    scene.nothing_changed().await;
}

#[tokio::test]
async fn addresses_that_are_none_are_refused_before_anything_is_counted() {
    let mut scene = Scene::new().await;
    let long = format!("{}@example.com", "a".repeat(65));
    let longer = format!("a@{}.com", "b.".repeat(5_000));
    for email in [
        "a",
        "a@",
        "@b",
        "a b@example.com",
        "a@@example.com",
        "a@exa mple.com",
        "a@example..com",
        "a@.example.com",
        "a@-example.com",
        "\"a\"@example.com",
        "a@[127.0.0.1]",
        "a,b@example.com",
        "Ada <ada@example.com>",
        "ada@example.com\u{200b}",
        "ada@example.com ",
        "\u{202e}ada@example.com",
        ".a@example.com",
        &long,
        &longer,
    ] {
        let body = json!({ "email": email, "password": "not the password" }).to_string();
        is_invalid(&scene.post_json("/v1/auth/login", body.as_bytes()).await, &["email"], email);
    }
    scene.nothing_changed().await;
}

#[tokio::test]
async fn only_json_in_utf_8_is_read() {
    let mut scene = Scene::new().await;
    let types = [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin1",
        "application/json, text/plain",
        "application/jsonp",
        "",
    ];
    for (path, good) in operations() {
        let body = good.to_string();
        for kind in types {
            scene
                .post(path, &[("content-type", kind)], body.as_bytes())
                .await
                .is_problem(415, "unsupported-media-type");
        }
        scene.post(path, &[], body.as_bytes()).await.is_problem(415, "unsupported-media-type");
        for second in [("content-type", "application/json"), ("content-encoding", "gzip")] {
            let headers = [("content-type", "application/json"), second];
            scene.post(path, &headers, body.as_bytes()).await.is_problem(415, "unsupported-media-type");
        }
    }
    for path in ["/v1/auth/login", "/v1/auth/password"] {
        scene.post(path, &[], b"").await.is_problem(415, "unsupported-media-type");
    }
    scene.nothing_changed().await;
}

#[tokio::test]
async fn a_refresh_token_comes_one_way() {
    let mut scene = Scene::new().await;
    let cookie = format!("__Host-freehold-refresh={}", scene.session.refresh);
    let origin = "http://acme.localhost:8080";
    let headers = [("content-type", "application/json"), ("cookie", &cookie), ("origin", origin)];
    let body = json!({ "refresh_token": scene.session.refresh }).to_string();
    for path in ["/v1/auth/refresh", "/v1/auth/logout", "/v1/auth/logout-all"] {
        is_invalid(&scene.post(path, &headers, body.as_bytes()).await, &["refresh_token"], path);
        let twice = format!("{cookie}; {cookie}");
        is_invalid(&scene.post(path, &[("cookie", &twice), ("origin", origin)], b"").await, &["(cookie)"], path);
    }
    scene.nothing_changed().await;
}
