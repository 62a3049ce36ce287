//! A provider made by hand that speaks like Google and like GitHub, and can do everything that a provider should not.

#![expect(clippy::wildcard_enum_match_arm, reason = "a manner is one thing that is wrong; all else is as it should be")]

mod wire;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use freehold_domain::oauth::pkce;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use self::wire::{Asked, Told};
use crate::support::Options;

/// The access token that GitHub's API wants.
const ACCESS: &str = "gho_cAnArY-access-token";

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Good,
    /// Whoever comes refuses.
    Denies,
    /// Another error than a refusal.
    Fails,
    /// Names another issuer in the address (RFC 9207).
    MixUp,
    /// The id token is for another sign-in.
    Nonce,
    /// It has no nonce.
    NoNonce,
    /// It is for another client.
    Audience,
    /// It is for others, too, and issued to one of those.
    AuthorizedParty,
    /// It is not signed.
    AlgNone,
    /// It is signed with the public key as a shared secret.
    AlgShared,
    /// It is signed with a key that is not published.
    UnknownKey,
    /// It is signed by another, under the name of a key that is.
    Forged,
    /// It has expired.
    Expired,
    /// It is of yesterday.
    Old,
    /// It is of tomorrow.
    Early,
    /// Somebody else issued it.
    Issuer,
    /// There is none.
    NoToken,
    /// The token endpoint answers with what is no JSON.
    Garbage,
    /// The keys are none.
    KeysGarbage,
    /// GitHub's addresses are none.
    AddressesGarbage,
    /// The token endpoint fails.
    Failing,
    /// Sends elsewhere.
    Redirect,
    /// Never ends.
    Oversize,
    /// Takes the request and says nothing.
    Silent,
    /// Closes the connection.
    Closed,
}

impl Manner {
    /// What an OpenID provider answers in time and must not be believed.
    pub(crate) const LIES: [Self; 16] = [
        Self::Fails,
        Self::MixUp,
        Self::Nonce,
        Self::NoNonce,
        Self::Audience,
        Self::AuthorizedParty,
        Self::AlgNone,
        Self::AlgShared,
        Self::UnknownKey,
        Self::Forged,
        Self::Expired,
        Self::Old,
        Self::Early,
        Self::Issuer,
        Self::NoToken,
        Self::Garbage,
    ];
    /// And what GitHub does.
    pub(crate) const LIES_OF_GITHUB: [Self; 4] = [Self::Fails, Self::NoToken, Self::Garbage, Self::AddressesGarbage];
    /// What is no answer at all.
    pub(crate) const AWAY: [Self; 5] = [Self::Failing, Self::Redirect, Self::Oversize, Self::Silent, Self::Closed];
}

/// What was asked for when a code was given out.
#[derive(Clone)]
struct Pending {
    challenge: String,
    redirect_uri: String,
    nonce: Option<String>,
}

struct State {
    manner: Manner,
    person: Value,
    codes: BTreeMap<String, Pending>,
    given: usize,
    asked: Vec<String>,
}

/// The running provider.
pub(crate) struct Fake {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Fake {
    /// Everybody who comes is this person: `sub`, `email`, `verified`, `name`, and more claims if there are.
    pub(crate) async fn of(person: Value) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { manner: Manner::Good, person, codes: BTreeMap::new(), given: 0, asked: vec![] };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        tokio::spawn(wire::serve(listener, move |asked| {
            let mut state = shared.lock().unwrap();
            state.asked.push(asked.path().to_owned());
            state.answer(&asked, address)
        }));
        Self { address, state }
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on.
    pub(crate) fn set(&self, manner: Manner) {
        self.state.lock().unwrap().manner = manner;
    }

    /// Everybody who comes from now on is this person.
    pub(crate) fn person(&self, person: Value) {
        self.state.lock().unwrap().person = person;
    }

    /// How often this path was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.state.lock().unwrap().asked.iter().filter(|asked| *asked == path).count()
    }

    /// A server that takes its word, as GitHub's and as Google's.
    pub(crate) fn configure(&self, options: Options) -> Options {
        let at = |path: &str| format!("{}{path}", self.issuer());
        ["GITHUB", "GOOGLE"]
            .into_iter()
            .fold(options, |options, name| {
                let name = |end: &str| format!("FREEHOLD_OAUTH_{name}_{end}");
                options
                    .env(&name("CLIENT_ID"), "freehold")
                    .env(&name("CLIENT_SECRET"), super::SECRET)
                    .env(&name("AUTHORIZE_URL"), &at("/authorize"))
                    .env(&name("TOKEN_URL"), &at("/token"))
            })
            .env("FREEHOLD_OAUTH_GITHUB_API_URL", &at("/api"))
            .env("FREEHOLD_OAUTH_GOOGLE_JWKS_URL", &at("/keys"))
            .env("FREEHOLD_OAUTH_GOOGLE_ISSUER", &self.issuer())
    }
}

impl State {
    fn answer(&mut self, asked: &Asked, own: SocketAddr) -> Told {
        let away = match self.manner {
            Manner::Failing => Told::Answer(500, "{}".to_owned()),
            Manner::Redirect => Told::Elsewhere(format!("http://{own}/good")),
            Manner::Oversize => Told::Endless,
            Manner::Silent => Told::Nothing,
            Manner::Closed => Told::Closed,
            _ if asked.path() == "/authorize" => return self.authorize(asked),
            _ => Told::Answer(404, "{}".to_owned()),
        };
        match asked.path() {
            "/authorize" => self.authorize(asked),
            _ if Manner::AWAY.contains(&self.manner) => away,
            "/token" => self.token(asked, own),
            "/keys" if self.manner == Manner::KeysGarbage => Told::Answer(200, "[]".to_owned()),
            "/keys" => Told::Answer(200, json!({ "keys": [published()] }).to_string()),
            "/api/user" | "/api/user/emails" if asked.header("authorization") != format!("Bearer {ACCESS}") => {
                Told::Answer(401, "{}".to_owned())
            }
            "/api/user" => Told::Answer(200, self.user().to_string()),
            "/api/user/emails" if self.manner == Manner::AddressesGarbage => Told::Answer(200, "{}".to_owned()),
            "/api/user/emails" => Told::Answer(200, self.addresses().to_string()),
            _ => away,
        }
    }

    /// Everybody consents at once, or refuses.
    fn authorize(&mut self, asked: &Asked) -> Told {
        let get = |name: &str| asked.parameter(name);
        assert_eq!(get("response_type").as_deref(), Some("code"));
        assert_eq!(get("client_id").as_deref(), Some("freehold"));
        assert_eq!(get("code_challenge_method").as_deref(), Some("S256"));
        let (redirect_uri, state) = (get("redirect_uri").unwrap(), get("state").unwrap());
        self.given += 1;
        let code = format!("cAnArY-code-{}", self.given);
        let challenge = get("code_challenge").unwrap();
        self.codes.insert(code.clone(), Pending { challenge, redirect_uri: redirect_uri.clone(), nonce: get("nonce") });
        let outcome = match self.manner {
            Manner::Denies => "error=access_denied&error_description=cAnArY-description".to_owned(),
            Manner::Fails => "error=server_error&error_description=cAnArY-description".to_owned(),
            Manner::MixUp => format!("code={code}&iss=http%3A%2F%2Fevil.example.com"),
            _ => format!("code={code}"),
        };
        Told::Elsewhere(format!("{redirect_uri}?{outcome}&state={state}&scope=x"))
    }

    /// RFC 6749 §4.1.3 and RFC 7636 §4.6, without mercy.
    fn token(&mut self, asked: &Asked, own: SocketAddr) -> Told {
        let get = |name: &str| asked.parameter(name).unwrap_or_default();
        let pending = self.codes.remove(&get("code")).filter(|pending| {
            get("grant_type") == "authorization_code"
                && get("client_id") == "freehold"
                && get("client_secret") == super::SECRET
                && get("redirect_uri") == pending.redirect_uri
                && pkce::challenge_of(&get("code_verifier")).as_ref() == Some(&pending.challenge)
        });
        let Some(Pending { nonce, .. }) = pending else {
            return Told::Answer(400, json!({ "error": "invalid_grant" }).to_string());
        };
        match self.manner {
            Manner::NoToken => Told::Answer(200, json!({ "error": "bad_verification_code" }).to_string()),
            Manner::Garbage => Told::Answer(200, "<html>all is well</html>".to_owned()),
            _ => {
                let mut answer = json!({ "access_token": ACCESS, "token_type": "bearer", "scope": "user:email" });
                if let Some(nonce) = nonce {
                    answer["id_token"] = self.id_token(&nonce, own).into();
                }
                Told::Answer(200, answer.to_string())
            }
        }
    }

    fn id_token(&self, nonce: &str, own: SocketAddr) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let person = &self.person;
        let mut claims = json!({
            "iss": format!("http://{own}"), "aud": "freehold", "azp": "freehold", "nonce": nonce, "iat": now, "exp": now + 3_600,
            "sub": person["sub"], "email": person["email"], "email_verified": person["verified"], "name": person["name"],
        });
        let mut header = json!({ "alg": "ES256", "kid": "k1", "typ": "JWT" });
        match self.manner {
            Manner::Nonce => claims["nonce"] = "of another sign-in".into(),
            Manner::NoNonce => claims["nonce"] = Value::Null,
            Manner::Audience => claims["aud"] = "another".into(),
            Manner::AuthorizedParty => {
                claims["aud"] = json!(["freehold", "another"]);
                claims["azp"] = "another".into();
            }
            Manner::Expired => claims["exp"] = (now - 1).into(),
            Manner::Old => claims["iat"] = (now - 86_400).into(),
            Manner::Early => claims["iat"] = (now + 86_400).into(),
            Manner::Issuer => claims["iss"] = "https://accounts.google.com".into(),
            Manner::UnknownKey => header["kid"] = "k2".into(),
            Manner::AlgNone => header["alg"] = "none".into(),
            Manner::AlgShared => header["alg"] = "HS256".into(),
            _ => {}
        }
        let message = [&header, &claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let sign = |key: &EncodingKey, alg| jsonwebtoken::crypto::sign(message.as_bytes(), key, alg).unwrap();
        let signature = match self.manner {
            Manner::AlgNone => String::new(),
            Manner::AlgShared => sign(&EncodingKey::from_secret(published().to_string().as_bytes()), Algorithm::HS256),
            Manner::Forged => sign(&rsa(), Algorithm::RS256),
            _ => sign(&ec(), Algorithm::ES256),
        };
        format!("{message}.{signature}")
    }

    fn user(&self) -> Value {
        let id: u64 = self.person["sub"].as_str().unwrap().parse().unwrap();
        json!({ "id": id, "login": "ada-at-github", "name": self.person["name"], "email": null, "type": "User" })
    }

    fn addresses(&self) -> Value {
        let (email, verified) = (&self.person["email"], &self.person["verified"]);
        json!([
            { "email": "other@example.com", "primary": false, "verified": true, "visibility": null },
            { "email": email, "primary": true, "verified": verified, "visibility": "private" },
        ])
    }
}

fn ec() -> EncodingKey {
    EncodingKey::from_ec_der(include_bytes!("../../../domain/src/oauth/id_token/test-ec.der"))
}

fn rsa() -> EncodingKey {
    EncodingKey::from_rsa_der(include_bytes!("../../../domain/src/oauth/id_token/test-rsa.der"))
}

/// The one key that is published.
fn published() -> Value {
    let mut key = serde_json::to_value(Jwk::from_encoding_key(&ec(), Algorithm::ES256).unwrap()).unwrap();
    key["kid"] = json!("k1");
    key["use"] = json!("sig");
    key
}
