//! Another e-mail address for an account: confirmed by whoever reads its mail, and then the old one is worth nothing.

use serde_json::{Value, json};

use crate::second_factor::{Enrolled, backup, challenge};
use crate::support::{
    Answer, Conn, Engine, Mail, Options, Server, Session, Tenant, on_both_engines, open_many, post_at_once,
};

const CHANGE: &str = "/v1/auth/email/change";
const VERIFY: &str = "/v1/auth/email/verify";
const NEW: &str = "ada@new.example.org";
const USES: usize = 100;

on_both_engines! {
    an_address_is_changed_once_it_is_confirmed_and_every_session_is_dead
    only_a_fresh_session_may_ask_and_a_changed_credential_voids_it
    whether_the_new_address_has_an_account_is_told_to_its_mailbox_alone
    a_session_that_has_ended_takes_no_account_along
    of_many_who_confirm_at_once_one_wins
    a_second_factor_stays_with_its_member
}

struct Scene {
    server: Server,
    acme: Tenant,
    conn: Conn,
    session: Session,
}

impl Scene {
    async fn new(engine: Engine) -> Self {
        let server = Server::start(Options::new(engine).limits_off()).await;
        let acme = server.tenant("acme");
        let mut conn = Conn::to(&server, &acme).await;
        let session = conn.sign_in(&acme).await;
        Self { server, acme, conn, session }
    }

    async fn ask(&mut self, new: &str) -> Answer {
        self.conn.post(CHANGE, Some(&self.session.access), &json!({ "new_email": new })).await
    }

    async fn confirm(&mut self, token: &str) -> Answer {
        self.conn.post(VERIFY, None, &json!({ "token": token })).await
    }

    /// The newest letter, once there are this many.
    async fn letter(&self, count: usize) -> Mail {
        let mut letters = self.server.letters(count).await;
        assert_eq!(letters.len(), count, "{letters:?}");
        letters.pop().unwrap()
    }

    /// The token of the letter that asking for this address brings; the other one is to the address that there is. There are
    /// this many letters then.
    async fn token(&mut self, new: &str, count: usize) -> String {
        self.ask(new).await.is(202);
        let letters = self.server.letters(count).await;
        assert_eq!(letters.len(), count, "{letters:?}");
        let to = |address: &str| letters[count - 2..].iter().find(|letter| letter.header("To") == address).unwrap();
        assert_eq!(to(&self.acme.email).header("Subject"), "Another address was asked for at acme");
        to(new).token("http://acme.localhost:8080/auth/verify")
    }

    fn moved(&self) -> Tenant {
        Tenant { email: NEW.to_owned(), ..self.acme.clone() }
    }
}

async fn an_address_is_changed_once_it_is_confirmed_and_every_session_is_dead(engine: Engine) {
    let mut scene = Scene::new(engine).await;
    let other = scene.conn.sign_in(&scene.acme).await;
    let voided = scene.token("ada@first.example.org", 2).await;
    let token = scene.token(NEW, 4).await;
    let invited = json!({ "email": NEW, "role": "admin" });
    scene.conn.post("/v1/invitations", Some(&other.access), &invited).await.is(201);
    scene.letter(5).await;
    let id = scene.conn.get("/v1/me", Some(&other.access)).await.json()["member"]["id"].as_str().unwrap().to_owned();
    // Nothing is changed yet.
    scene.conn.login(&scene.moved(), &scene.acme.password).await.is_problem(401, "invalid-credentials");
    for wrong in [&voided, "fhe_", &token.replacen("fhe_", "fhv_", 1), &token.replacen("fhe_", "fhr_", 1)] {
        scene.confirm(wrong).await.is_problem(401, "invalid-credentials");
    }
    let answer = scene.confirm(&token).await;
    assert!(answer.is(204).header("set-cookie").is_none(), "it starts no session: {answer:?}");

    for session in [&scene.session, &other] {
        assert_eq!(scene.conn.me(&session.access).await, 401);
        scene.conn.refresh(&session.refresh).await.is_problem(401, "unauthenticated");
    }
    scene.conn.login(&scene.acme, &scene.acme.password).await.is_problem(401, "invalid-credentials");
    scene.confirm(&token).await.is_problem(401, "invalid-credentials");
    let notice = scene.letter(6).await;
    assert_eq!(
        (notice.header("To"), notice.header("Subject")),
        (scene.acme.email.as_str(), "Your address at acme was changed")
    );

    let session = scene.conn.sign_in(&scene.moved()).await;
    let member = scene.conn.get(&format!("/v1/members/{id}"), Some(&session.access)).await.is(200).json();
    assert_eq!(member["email"], NEW);
    let open = scene.conn.get("/v1/invitations", Some(&session.access)).await.is(200).json();
    assert_eq!(open["items"], json!([]), "who has the address is a member already");
    let page = scene.conn.get("/v1/audit?limit=200", Some(&session.access)).await.is(200).json();
    let actions: Vec<_> =
        page["items"].as_array().unwrap().iter().map(|item| item["action"].as_str().unwrap()).collect();
    let of = |action: &str| actions.iter().filter(|known| **known == action).count();
    assert_eq!((of("email.change_requested"), of("email.changed")), (2, 1), "{actions:?}");
    // The old address is free: it can be asked for, and leads nowhere.
    scene.conn.post("/v1/auth/password/forgot", None, &json!({ "email": scene.acme.email })).await.is(202);
    assert_eq!(scene.letter(7).await.header("Subject"), "No account at acme");
}

async fn only_a_fresh_session_may_ask_and_a_changed_credential_voids_it(engine: Engine) {
    let mut scene = Scene::new(engine).await;
    scene.conn.post(CHANGE, None, &json!({ "new_email": NEW })).await.is_problem(401, "unauthenticated");
    let wrong = scene.ask("ada.example.org").await;
    wrong.is_problem(400, "validation");
    assert_eq!(wrong.json()["errors"][0]["field"], "new_email");

    let token = scene.token(NEW, 2).await;
    let change = json!({ "current_password": scene.acme.password, "new_password": "a wholly different phrase" });
    let changed = scene.conn.post("/v1/auth/password", Some(&scene.session.access), &change).await;
    scene.session = Session::of(&changed);
    scene.confirm(&token).await.is_problem(401, "invalid-credentials");
    assert_eq!(scene.conn.me(&scene.session.access).await, 200);

    scene.server.run_sql(&scene.acme, "UPDATE token_family SET created_at_ms = created_at_ms - 300000").await;
    scene.ask(NEW).await.is_problem(403, "forbidden");
    assert_eq!(scene.letter(3).await.header("Subject"), "Your password was changed at acme");
}

async fn whether_the_new_address_has_an_account_is_told_to_its_mailbox_alone(engine: Engine) {
    let mut scene = Scene::new(engine).await;
    let seen = |answer: &Answer| {
        let varies = |name: &str| ["x-request-id", "date"].contains(&name);
        let headers: Vec<_> = answer
            .headers
            .iter()
            .filter(|(name, _)| !varies(name.as_str()))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect();
        (answer.status, headers, answer.body.clone())
    };
    let own = scene.acme.email.clone();
    let (known, unknown) = (scene.ask(&own).await, scene.ask(NEW).await);
    assert_eq!(seen(&known), seen(&unknown));
    let letters = scene.server.letters(4).await;
    let about = |subject: &str| letters.iter().find(|letter| letter.header("Subject") == subject).unwrap();
    let told = about("You have an account at acme");
    assert!(told.header("To") == own && !told.text.contains("token="), "{}", told.text);

    // An address that becomes somebody else's meanwhile is not taken from them.
    let token = about("Confirm your new address for acme").token("/auth/verify");
    let open: Value = json!({ "registration": "open" });
    scene.conn.patch("/v1/settings", &scene.session.access, &open).await.is(200);
    let rival = json!({ "email": NEW, "password": "a wholly different phrase", "name": "Grace Hopper" });
    scene.conn.post("/v1/auth/register", None, &rival).await.is(202);
    let registration = scene.letter(5).await.token("/auth/verify");
    scene.confirm(&registration).await.is(204);
    scene.confirm(&token).await.is_problem(409, "conflict");
    assert_eq!(scene.conn.me(&scene.session.access).await, 200);
}

async fn of_many_who_confirm_at_once_one_wins(engine: Engine) {
    let mut scene = Scene::new(engine).await;
    let token = scene.token(NEW, 2).await;
    let mut many = open_many(&scene.server, &scene.acme, USES).await;
    let answers = post_at_once(&mut many, VERIFY, |_| json!({ "token": token })).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 204).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 204) {
        if answer.status != 503 {
            answer.is_problem(401, "invalid-credentials");
        }
    }
    assert_eq!(scene.letter(3).await.header("Subject"), "Your address at acme was changed");
}

async fn a_second_factor_stays_with_its_member(engine: Engine) {
    let mut scene = Scene::new(engine).await;
    let enrolled = Enrolled::at(&mut scene.conn, &scene.acme).await;
    scene.session = enrolled.session.clone();
    let token = scene.token(NEW, 3).await; // the first is about the second factor
    scene.confirm(&token).await.is(204);
    let moved = scene.moved();
    let challenge = challenge(&mut scene.conn, &moved).await;
    let answer = scene.conn.post("/v1/auth/second-factor", None, &backup(&challenge, &enrolled.codes[0])).await;
    assert_eq!(scene.conn.me(&Session::of(&answer).access).await, 200);
}

/// Whoever is thrown out before the address was confirmed, in whatever way, cannot confirm it any more.
async fn a_session_that_has_ended_takes_no_account_along(engine: Engine) {
    let mut scene = Scene::new(engine).await;
    for (n, end) in ["own", "sign out", "sign out everywhere"].into_iter().enumerate() {
        let owner = scene.conn.sign_in(&scene.acme).await;
        scene.session = scene.conn.sign_in(&scene.acme).await;
        let token = scene.token(NEW, 2 * n + 2).await;
        let nothing = json!({});
        match end {
            "own" => {
                let path = format!("/v1/sessions/{}", scene.session.id);
                scene.conn.call("DELETE", &path, Some(&owner.access)).await
            }
            "sign out" => scene.conn.post("/v1/auth/logout", Some(&scene.session.access), &nothing).await,
            _ => scene.conn.post("/v1/auth/logout-all", Some(&owner.access), &nothing).await,
        }
        .is(204);
        scene.confirm(&token).await.is_problem(401, "invalid-credentials");
    }
    scene.conn.sign_in(&scene.acme).await;
}
