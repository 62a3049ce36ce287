//! `[oauth]`: the providers by whose word members sign in. One is configured when it has a client id.

use std::path::{Path, PathBuf};

use freehold_actors::providers::{ClientRule, GitHubRule, GoogleRule, ProvidersRule, ServiceUrl};
use freehold_domain::secret::Secret;

use super::keys::read_private;
use super::platform::Domain;
use super::values::Values;

pub(super) const GITHUB_SECRET: &str = "oauth.github_client_secret";
pub(super) const GOOGLE_SECRET: &str = "oauth.google_client_secret";
const GITHUB_API_URL: &str = "oauth.github_api_url";
const GOOGLE_JWKS_URL: &str = "oauth.google_jwks_url";
const GOOGLE_ISSUER: &str = "oauth.google_issuer";
const GOOGLE_HD: &str = "oauth.google_hd";

const GITHUB: Names = Names {
    credentials: Credentials {
        id: "oauth.github_client_id",
        secret: GITHUB_SECRET,
        secret_file: "oauth.github_client_secret_file",
    },
    authorize_url: "oauth.github_authorize_url",
    token_url: "oauth.github_token_url",
};
const GOOGLE: Names = Names {
    credentials: Credentials {
        id: "oauth.google_client_id",
        secret: GOOGLE_SECRET,
        secret_file: "oauth.google_client_secret_file",
    },
    authorize_url: "oauth.google_authorize_url",
    token_url: "oauth.google_token_url",
};

pub(super) const SETTINGS: &[&str] = &[
    GITHUB.credentials.id,
    GITHUB.credentials.secret,
    GITHUB.credentials.secret_file,
    GITHUB.authorize_url,
    GITHUB.token_url,
    GITHUB_API_URL,
    GOOGLE.credentials.id,
    GOOGLE.credentials.secret,
    GOOGLE.credentials.secret_file,
    GOOGLE.authorize_url,
    GOOGLE.token_url,
    GOOGLE_JWKS_URL,
    GOOGLE_ISSUER,
    GOOGLE_HD,
];

const URL_REMEDY: &str = "write it like https://id.example.com/path; without TLS it must be a loopback address";

/// The settings of a client id and what proves it.
pub(super) struct Credentials {
    pub(super) id: &'static str,
    pub(super) secret: &'static str,
    pub(super) secret_file: &'static str,
}

/// The settings that every provider has.
pub(super) struct Names {
    pub(super) credentials: Credentials,
    pub(super) authorize_url: &'static str,
    pub(super) token_url: &'static str,
}

pub(super) fn read(values: &mut Values, data_dir: Option<&Path>) -> Option<ProvidersRule> {
    let github = client(values, &GITHUB, data_dir);
    let api_url = url(values, GITHUB_API_URL);
    let google = client(values, &GOOGLE, data_dir);
    let jwks_url = url(values, GOOGLE_JWKS_URL);
    // Compared with the `iss` of tokens letter by letter, so it is kept as it is written.
    let issuer = values.read(GOOGLE_ISSUER, "the address of an issuer", URL_REMEDY, |text| {
        ServiceUrl::parse(text).map(|_| text.to_owned())
    });
    let hd = values.read(GOOGLE_HD, "a DNS name", "write a name like example.com", Domain::parse);
    let hosted_domain = hd.map(|domain| domain.as_str().to_owned());
    let (api_url, jwks_url, issuer) = (api_url?, jwks_url?, issuer?);
    Some(ProvidersRule {
        github: github.map(|client| GitHubRule { client, api_url }),
        google: google.map(|client| GoogleRule { client, jwks_url, issuer, hosted_domain }),
    })
}

/// What this server is to a provider; `None` when it is nothing to it, or something is wrong.
pub(super) fn client(values: &mut Values, names: &Names, data_dir: Option<&Path>) -> Option<ClientRule> {
    let client = credentials(values, &names.credentials, data_dir);
    let (authorize_url, token_url) = (url(values, names.authorize_url), url(values, names.token_url));
    let (id, secret) = client?;
    Some(ClientRule { id, secret, authorize_url: authorize_url?, token_url: token_url? })
}

/// The id and the secret, which are there together or not at all; `None` when they are not, or something is wrong.
pub(super) fn credentials(
    values: &mut Values,
    names: &Credentials,
    data_dir: Option<&Path>,
) -> Option<(String, Secret<String>)> {
    let id = values.read(names.id, "a client id", "write it as the provider gave it out", visible);
    let secret = secret(values, (names.secret, names.secret_file), data_dir);
    let has_secret = values.is_set(names.secret) || values.is_set(names.secret_file);
    let is_faulty = [names.id, names.secret, names.secret_file].iter().any(|name| values.is_faulty(name));
    if values.is_set(names.id) && !has_secret && !is_faulty {
        values.fault(names.secret, "not set, and the client id is", "set the secret that came with the client id");
    }
    if has_secret && !values.is_set(names.id) && !is_faulty {
        values.fault(names.id, "not set, and the client secret is", "set the id that the secret came with");
    }
    id.zip(secret)
}

/// A secret that a provider gave out, from its value or from a file that only its owner can read.
pub(super) fn secret(
    values: &mut Values,
    (setting, file): (&str, &str),
    data_dir: Option<&Path>,
) -> Option<Secret<String>> {
    let from_value =
        values.read(setting, "a client secret", "write it as the provider gave it out", visible).map(Secret::new);
    let path = values
        .read(file, "a path", "write the path of the file", |text| (!text.contains('\0')).then(|| PathBuf::from(text)));
    let from_file = path.and_then(|path| {
        let text = read_private(&path, data_dir);
        let text = text.map_err(|(fault, remedy)| values.fault(file, &fault, remedy)).ok()?;
        let secret = visible(text.expose().trim()).map(Secret::new);
        if secret.is_none() {
            let fault = format!("{} holds no client secret", path.display());
            values.fault(file, &fault, "write the secret into it, and nothing else");
        }
        secret
    });
    if values.is_set(setting) && values.is_set(file) {
        values.fault(setting, "its file is set too", "unset one of the two");
    }
    from_file.or(from_value)
}

pub(super) fn url(values: &mut Values, setting: &str) -> Option<ServiceUrl> {
    values.read(setting, "the address of a provider", URL_REMEDY, ServiceUrl::parse)
}

/// Text without spaces, which headers and forms carry as it is.
fn visible(text: &str) -> Option<String> {
    (text.len() <= 512 && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| text.to_owned())
}
