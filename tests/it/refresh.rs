//! Refresh tokens: those who ask together share one successor; whoever asks later ends the session.

mod limits;

use std::mem::replace;

use serde_json::json;

use crate::support::{Conn, Engine, Options, Server, Session, on_both_engines, open_many, post_at_once};

/// Requests with one token at the same moment.
const TOGETHER: usize = 50;
const FAMILIES: usize = 200;
const GENERATIONS: usize = 2;

on_both_engines! {
    fifty_refreshes_at_once_get_one_pair_and_a_later_one_ends_the_family
    a_replay_ends_its_own_family_only
    refreshes_of_many_sessions_at_once_are_judged_apart
    what_is_no_live_token_is_refused_alike
}

/// Each rotation is asked for fifty times at once over connections that were open before, one family at a time.
async fn fifty_refreshes_at_once_get_one_pair_and_a_later_one_ends_the_family(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let mut many = open_many(&server, &acme, TOGETHER).await;
    for _ in 0..FAMILIES {
        let mut session = conn.sign_in(&acme).await;
        let mut spent = String::new();
        for _ in 0..GENERATIONS {
            let answers =
                post_at_once(&mut many, "/v1/auth/refresh", |_| json!({ "refresh_token": session.refresh })).await;
            let next = Session::of(&answers[0]);
            for answer in &answers {
                assert_eq!(answer.body, answers[0].body, "{answer:?}");
            }
            assert_eq!(next.id, session.id);
            assert_ne!((&next.refresh, &next.access), (&session.refresh, &session.access));
            spent = replace(&mut session, next).refresh;
        }
        assert_eq!(conn.me(&session.access).await, 200);

        conn.refresh(&spent).await.is_problem(401, "unauthenticated");
        assert_eq!(conn.me(&session.access).await, 401);
        conn.refresh(&session.refresh).await.is_problem(401, "unauthenticated");
    }
}

async fn a_replay_ends_its_own_family_only(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let (stolen, other) = (conn.sign_in(&acme).await, conn.sign_in(&acme).await);
    let next = Session::of(&conn.refresh(&stolen.refresh).await);

    // Every access token of the family is dead, whichever generation it came with; the answers are not told apart.
    let replay = conn.refresh(&stolen.refresh).await;
    replay.is_problem(401, "unauthenticated");
    assert_eq!((conn.me(&stolen.access).await, conn.me(&next.access).await), (401, 401));
    let dead = conn.refresh(&next.refresh).await;
    assert_eq!((dead.json()["detail"].clone(), dead.status), (replay.json()["detail"].clone(), replay.status));

    assert_eq!(conn.me(&other.access).await, 200);
    let other = Session::of(&conn.refresh(&other.refresh).await);
    let listed = conn.get("/v1/sessions", Some(&other.access)).await.is(200).json();
    let ids: Vec<_> = listed["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
    assert_eq!(ids, [json!(other.id)]);
}

/// On SQLite they share transactions: one that is refused there takes nothing from the others.
async fn refreshes_of_many_sessions_at_once_are_judged_apart(engine: Engine) {
    const SESSIONS: usize = 24;
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let mut sessions = vec![];
    for _ in 0..SESSIONS {
        sessions.push(conn.sign_in(&acme).await);
    }
    let (replayed, ended) = (SESSIONS / 3, SESSIONS / 2);
    Session::of(&conn.refresh(&sessions[replayed].refresh).await);
    conn.call("DELETE", &format!("/v1/sessions/{}", sessions[ended].id), Some(&sessions[0].access)).await.is(204);

    let mut many = open_many(&server, &acme, SESSIONS).await;
    let tokens: Vec<_> = sessions.iter().map(|session| json!({ "refresh_token": session.refresh })).collect();
    let answers = post_at_once(&mut many, "/v1/auth/refresh", |n| tokens[n].clone()).await;
    for (n, answer) in answers.iter().enumerate() {
        if n == replayed || n == ended {
            answer.is_problem(401, "unauthenticated");
            assert_eq!(conn.me(&sessions[n].access).await, 401);
        } else {
            let next = Session::of(answer);
            assert_eq!(next.id, sessions[n].id);
            assert_eq!(conn.me(&next.access).await, 200);
            Session::of(&conn.refresh(&next.refresh).await);
        }
    }
}

async fn what_is_no_live_token_is_refused_alike(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    let (family, secret) =
        session.refresh.rsplit_once('_').map(|(family, secret)| (family.to_owned(), secret.len())).unwrap();
    let unknown_family = format!("fhr_{}_{}", "0".repeat(32), "A".repeat(secret));
    let wrong_secret = format!("{family}_{}", "A".repeat(secret));
    let refused = conn.refresh(&unknown_family).await;
    refused.is_problem(401, "unauthenticated");
    for token in [wrong_secret.as_str(), "", "fhr_", session.access.as_str(), "no token"] {
        let answer = conn.refresh(token).await;
        answer.is_problem(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), refused.header("www-authenticate"), "{token}");
        assert_eq!(answer.json()["detail"], refused.json()["detail"], "{token}");
    }
    // The family's name is public: a wrong secret revokes nothing.
    assert_eq!(conn.me(&session.access).await, 200);
    Session::of(&conn.refresh(&session.refresh).await);
}
