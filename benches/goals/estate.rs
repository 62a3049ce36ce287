//! A data directory full of tenants, members and sessions, written through the storage crate before a server opens it:
//! sign-ins would cost an argon2 hash each.

use std::sync::Arc;

use freehold::clock::AMBIENT;
use freehold_domain::access_token::{self, AccessGrant};
use freehold_domain::email::Email;
use freehold_domain::id::{FamilyId, MemberId, SigningKeyId, TenantId, TokenId};
use freehold_domain::keys::{
    KeyVersion, MasterRing, Nonce, Place, RootKey, Sealable, SigningKey, StoredSigningKey, TenantKeys,
};
use freehold_domain::password::{Argon2Params, HashMemory, Password, hash};
use freehold_domain::refresh_token::RefreshToken;
use freehold_domain::role::Role;
use freehold_domain::secret::Secret;
use freehold_domain::settings::TenantSettings;
use freehold_domain::text::OneLine;
use freehold_storage::family::{self, NewFamily};
use freehold_storage::member::{self, MemberRow};
use freehold_storage::root_key::{self, RootKeyRow};
use freehold_storage::signing_key::{self, SigningKeyRow};
use freehold_storage::{SqliteOptions, Store, directory};

use crate::load;
use crate::process::Folder;

/// The master ring of every bench.
pub(crate) const MASTER: &str = "bench:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// Where clients think the platform is.
pub(crate) const PUBLIC_URL: &str = "http://localhost:8080";
/// Everybody's password.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// How many rows are written in one transaction of the system store.
const ROWS_MAX: usize = 2_000;
/// How many tenants' files are open at once.
pub(crate) const OPEN_FILES_MAX: usize = 256;

/// What every tenant shall have.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// Tenants, `t0` and so on.
    pub(crate) tenants: usize,
    /// Members of each.
    pub(crate) members: usize,
    /// Sessions of each member.
    pub(crate) sessions: usize,
}

/// A tenant with its keys opened.
pub(crate) struct Tenant {
    pub(crate) slug: String,
    pub(crate) members: Vec<MemberId>,
    /// A live refresh token for each session, by member.
    pub(crate) refresh_tokens: Vec<String>,
    id: TenantId,
    pub(crate) keys: TenantKeys,
    root: RootKey,
    signing: SigningKeyRow,
}

impl Tenant {
    /// The host name it is served at.
    pub(crate) fn host(&self) -> String {
        format!("{}.localhost", self.slug)
    }

    /// A new access token of the first member, as a sign-in would give out.
    pub(crate) fn access_token(&self) -> String {
        let now = AMBIENT.wall();
        let grant = AccessGrant {
            has_second_factor: false,
            operator: None,
            issuer: &format!("http://{}.localhost:8080", self.slug),
            member: self.members[0],
            family: FamilyId::new(now, AMBIENT.random()),
            role: Role::Admin,
            epoch: 1,
            token: TokenId::new(now, AMBIENT.random()),
        };
        access_token::issue(&self.keys, &grant, now).unwrap().expose().clone()
    }

    /// What verifies its access tokens.
    pub(crate) fn public_key(&self) -> [u8; 32] {
        *self.keys.signing_key(AMBIENT.now()).unwrap().verifying_key().public()
    }

    pub(crate) fn new(number: usize, plan: Plan) -> Self {
        let now = AMBIENT.now();
        let (id, kid) = (TenantId::new(now, AMBIENT.random()), SigningKeyId::new(now, AMBIENT.random()));
        let root = RootKey::from_random(KeyVersion::FIRST, AMBIENT.random());
        let key = SigningKey::from_seed(kid, Secret::new(AMBIENT.random())).unwrap();
        let seed = key.seal(&root, id, nonce()).unwrap();
        let signing = SigningKeyRow {
            id: kid,
            public_key: key.verifying_key().public().to_vec(),
            private_sealed: seed.bytes().to_vec(),
            created_at_ms: now,
            retired_at_ms: None,
        };
        let keys = TenantKeys::open(
            id,
            std::slice::from_ref(&root),
            &[StoredSigningKey { id: kid, seed, made: now, signs_until: None }],
        )
        .unwrap();
        let members = (0..plan.members).map(|_| MemberId::new(now, AMBIENT.random())).collect();
        Self { slug: format!("t{number}"), members, refresh_tokens: vec![], id, keys, root, signing }
    }

    fn seal<T: Sealable>(&self, table: &'static str, column: &'static str, row: &[u8], value: &T) -> Vec<u8> {
        self.keys.seal(&Place { table, column, row }, value, nonce()).unwrap().into_bytes()
    }

    fn member(&self, number: usize, password: &Secret<String>) -> MemberRow {
        let id = self.members[number];
        let email: Email = email_of(number).parse().unwrap();
        let name: OneLine<200> = "Ada".parse().unwrap();
        MemberRow {
            id,
            email_key: self.keys.email_key(&email).bytes().to_vec(),
            email_sealed: self.seal("member", "email_sealed", id.as_bytes(), &email),
            name_sealed: self.seal("member", "name_sealed", id.as_bytes(), &name),
            password_hash: Some(password.clone()),
            role: Role::Admin.as_str().to_owned(),
            credential_version: 1,
            epoch: 1,
            created_at_ms: AMBIENT.now(),
            deactivated_at_ms: None,
            password_unchecked_at_ms: None,
        }
    }

    /// A session, and its refresh token.
    fn session(&self, member: MemberId) -> (NewFamily, String) {
        let now = AMBIENT.now();
        let id = FamilyId::new(now, AMBIENT.random());
        let token = RefreshToken::issue(&self.keys, id, AMBIENT.random());
        let client = Secret::new("127.0.0.1\nbench".to_owned());
        let family = NewFamily {
            id,
            member,
            token_hash: token.hash().bytes().to_vec(),
            client_sealed: self.seal("token_family", "client_sealed", id.as_bytes(), &client),
            created_at_ms: now,
            expires_at_ms: now.plus(TenantSettings::default().session_lifetime()),
        };
        (family, token.text().expose().clone())
    }
}

/// The e-mail address of a tenant's member.
pub(crate) fn email_of(number: usize) -> String {
    format!("m{number}@example.com")
}

/// Writes the planned tenants into a folder's data directory, and `dormant` more, `d0` and so on, that are in the
/// directory only.
pub(crate) async fn make(folder: &Folder, plan: Plan, dormant: usize) -> Vec<Tenant> {
    let options = SqliteOptions { data_dir: folder.data_dir(), open_files_max: OPEN_FILES_MAX };
    let store = Store::open_sqlite(options).await.unwrap();
    let tenants: Vec<_> = (0..plan.tenants).map(|number| Tenant::new(number, plan)).collect();
    seal_roots(&store, &tenants).await;
    let rows: Vec<_> = tenants.iter().map(|tenant| (tenant.id, tenant.slug.clone())).collect();
    list(&store, &rows).await;
    let unknown = (0..dormant).map(|number| (TenantId::new(AMBIENT.now(), AMBIENT.random()), format!("d{number}")));
    list(&store, &unknown.collect::<Vec<_>>()).await;

    let password = {
        let params = Argon2Params::default();
        let mut memory = HashMemory::new(params).unwrap();
        hash(&Password::new(PASSWORD).unwrap(), AMBIENT.random(), params, &mut memory).unwrap().text()
    };
    let shared = Arc::new((store.clone(), tenants, password));
    let given = Arc::clone(&shared);
    let tokens = load::each(plan.tenants, 8, move |number| {
        let shared = Arc::clone(&given);
        async move { (number, fill(&shared.0, &shared.1[number], plan, &shared.2).await) }
    });
    let tokens = tokens.await;
    store.close().await;
    let (_, mut tenants, _) = Arc::into_inner(shared).unwrap();
    for (number, tokens) in tokens {
        tenants[number].refresh_tokens = tokens;
    }
    tenants
}

async fn seal_roots(store: &Store, tenants: &[Tenant]) {
    let ring: MasterRing = MASTER.parse().unwrap();
    for tenants in tenants.chunks(ROWS_MAX) {
        let mut tx = store.keys_write().await.unwrap();
        for tenant in tenants {
            let (master, sealed) = ring.seal_root(tenant.id, &tenant.root, nonce()).unwrap();
            let version = tenant.root.version().get().into();
            let master_key_id = master.as_str().to_owned();
            let row = RootKeyRow { version, master_key_id, sealed, created_at_ms: AMBIENT.now() };
            assert!(root_key::insert(&mut tx, tenant.id, &row).await.unwrap());
        }
        tx.commit().await.unwrap();
    }
}

async fn list(store: &Store, tenants: &[(TenantId, String)]) {
    for tenants in tenants.chunks(ROWS_MAX) {
        let mut tx = store.system_write().await.unwrap();
        for (id, slug) in tenants {
            assert!(directory::insert(&mut tx, *id, slug, slug, "active", AMBIENT.now()).await.unwrap());
        }
        tx.commit().await.unwrap();
    }
}

/// Writes a tenant's own store; its refresh tokens.
async fn fill(store: &Store, tenant: &Tenant, plan: Plan, password: &Secret<String>) -> Vec<String> {
    store.create_tenant_store(tenant.id).await.unwrap();
    let mut tokens = vec![];
    let mut tx = store.write(tenant.id).await.unwrap();
    assert!(signing_key::insert(&mut tx, &tenant.signing).await.unwrap());
    for number in 0..plan.members {
        let row = tenant.member(number, password);
        assert!(member::insert(&mut tx, &row).await.unwrap());
        for _ in 0..plan.sessions {
            let (family, token) = tenant.session(row.id);
            assert!(family::insert(&mut tx, &family, 1).await.unwrap());
            tokens.push(token);
        }
    }
    tx.commit().await.unwrap();
    tokens
}

fn nonce() -> Nonce {
    Nonce::from_random(AMBIENT.random())
}
