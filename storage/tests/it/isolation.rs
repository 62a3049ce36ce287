//! A handler that means harm, or forgets: whatever it asks in a tenant's transaction, it meets that tenant's rows alone.

use freehold_domain::id::{MemberId, TenantId};
use freehold_domain::time::UnixMs;
use freehold_storage::member::{self, MemberRow};
use freehold_storage::sql::Sql;
use freehold_storage::{Row, Store, StoreError, args, feed, roster};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use crate::fixture::{Bed, Kind, new_member, run};

/// The e-mail key of some member.
struct Key(Vec<u8>);

impl TryFrom<Row> for Key {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self(row.get("email_key")?))
    }
}

#[tokio::test]
async fn evil_handler_on_sqlite() {
    meets_its_own_rows_alone(Kind::Sqlite).await;
}

#[tokio::test]
async fn evil_handler_on_postgres() {
    meets_its_own_rows_alone(Kind::Postgres).await;
}

#[tokio::test]
async fn evil_handler_on_pgbouncer() {
    meets_its_own_rows_alone(Kind::PgBouncer).await;
}

async fn add(store: &Store, tenant: TenantId, member: &MemberRow) {
    let mut tx = store.write(tenant).await.unwrap();
    assert!(member::insert(&mut tx, member).await.unwrap());
    tx.commit().await.unwrap();
}

async fn meets_its_own_rows_alone(kind: Kind) {
    const ALL: Sql<0> = Sql::new("SELECT email_key FROM member");
    const BY_ID: Sql<1> = Sql::new("SELECT email_key FROM member WHERE id = $1 OR 1 = 1 AND id = $1");
    const SPOIL: Sql<0> = Sql::new("UPDATE member SET role = 'spoilt'");
    const EMPTY: Sql<0> = Sql::new("DELETE FROM member");
    const REFER: Sql<2> = Sql::new(
        "INSERT INTO token_family (id, member_id, generation, token_hash, client_sealed, created_at_ms, last_used_at_ms, expires_at_ms)
         SELECT $1, $2, 1, email_key, email_key, 1, 1, 1 FROM member",
    );
    let bed = Bed::new(kind).await;
    let (ours, theirs) = (bed.tenant().await, bed.tenant().await);
    let (own, foreign) = (new_member(b"own"), new_member(b"foreign"));
    add(&bed.store, ours, &own).await;
    add(&bed.store, theirs, &foreign).await;

    let mut tx = bed.store.read(ours).await.unwrap();
    let keys: Vec<Key> = tx.fetch_all(ALL, args![]).await.unwrap();
    assert_eq!(keys.iter().map(|key| key.0.as_slice()).collect::<Vec<_>>(), [b"own"]);
    assert!(tx.fetch_optional::<Key, 1>(BY_ID, args![foreign.id]).await.unwrap().is_none());
    drop(tx);

    let mut tx = bed.store.write(ours).await.unwrap();
    assert_eq!(tx.execute(SPOIL, args![]).await.unwrap(), 1);
    assert_eq!(tx.execute(EMPTY, args![]).await.unwrap(), 1);
    tx.commit().await.unwrap();
    let unharmed = member::by_id(&mut bed.store.read(theirs).await.unwrap(), foreign.id).await.unwrap().unwrap();
    assert_eq!(unharmed.role, "owner");

    add(&bed.store, ours, &own).await;
    let mut tx = bed.store.write(ours).await.unwrap();
    let refused = tx.execute(REFER, args![MemberId::uuid(own.id), foreign.id]).await;
    assert!(matches!(refused, Err(StoreError::Defect { .. })), "a key of another tenant's row: {refused:?}");
    drop(tx);

    // What is unique is so within a tenant, or a tenant could learn what another one has.
    add(&bed.store, ours, &MemberRow { email_key: b"foreign".to_vec(), ..foreign.clone() }).await;
    bed.end().await;
}

/// `text` fails with `code` as the runtime role, in a transaction of the tenant if there is one.
async fn is_refused(app: &mut PgConnection, tenant: Option<TenantId>, code: &str, text: &str) {
    let context = tenant.map_or(String::new(), |tenant| format!("SET LOCAL app.tenant = '{tenant}';"));
    let script = format!("BEGIN; {context} {text}");
    let error = sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut *app).await.err();
    let got = error.as_ref().and_then(|error| error.as_database_error()?.code()).unwrap_or_default().into_owned();
    assert_eq!(got, code, "{text}: {error:?}");
    run(app, "ROLLBACK".to_owned()).await;
}

const NOT_ALLOWED: &str = "42501";

#[tokio::test]
async fn the_database_itself_refuses_to_name_a_tenant() {
    let bed = Bed::new(Kind::Postgres).await;
    let (ours, theirs) = (bed.tenant().await, bed.tenant().await);
    let (own, foreign) = (new_member(b"own"), new_member(b"foreign"));
    add(&bed.store, ours, &own).await;
    add(&bed.store, theirs, &foreign).await;
    let mut app = bed.database().as_app().await;
    let here = Some(ours);

    for text in [
        "SELECT * FROM member".to_owned(),
        "SELECT tenant_id FROM member".to_owned(),
        format!("SELECT id FROM member WHERE tenant_id = '{theirs}'"),
        format!("UPDATE member SET tenant_id = '{theirs}'"),
        format!("DELETE FROM member WHERE tenant_id = '{theirs}'"),
        format!("INSERT INTO rate_limit (tenant_id, tier, burst, period_ms) VALUES ('{theirs}', 'auth', 1, 1)"),
        "INSERT INTO change (seq, kind, subject, value, at_ms) OVERRIDING SYSTEM VALUE
         SELECT 1, role, id, 1, 1 FROM member"
            .to_owned(),
        "UPDATE audit SET action = 'nothing'".to_owned(),
        "UPDATE audit SET seq = 7 WHERE seq = 8".to_owned(),
        "DELETE FROM audit".to_owned(),
        "DELETE FROM audit_head".to_owned(),
        "TRUNCATE audit".to_owned(),
        "SET LOCAL row_security = off; SELECT id FROM member".to_owned(),
        "ALTER TABLE member DISABLE ROW LEVEL SECURITY".to_owned(),
        "ALTER TABLE member NO FORCE ROW LEVEL SECURITY".to_owned(),
        "DROP POLICY own_tenant ON member".to_owned(),
        "TRUNCATE member CASCADE".to_owned(),
        "SELECT freehold_protect('member')".to_owned(),
        "CREATE TABLE public.stolen (id uuid)".to_owned(),
        "UPDATE _sqlx_migrations SET success = TRUE".to_owned(),
        format!("SET ROLE {}", bed.database().owner),
    ] {
        is_refused(&mut app, here, NOT_ALLOWED, &text).await;
    }
    bed.end().await;
}

#[tokio::test]
async fn no_context_is_an_error_and_never_rows() {
    const APPEND: Sql<0> = Sql::new("INSERT INTO rate_limit (tier, burst, period_ms) VALUES ('auth', 1, 1)");
    let bed = Bed::new(Kind::Postgres).await;
    let (tenant, _) = bed.tenant_with_member().await;
    let mut app = bed.database().as_app().await;
    let undefined = "42704";
    is_refused(&mut app, None, undefined, "SELECT id FROM member").await;
    is_refused(&mut app, None, undefined, "DELETE FROM member").await;
    run(&mut app, format!("BEGIN; SET LOCAL app.tenant = '{tenant}'; SELECT id FROM member; COMMIT")).await;
    let empty = "22P02"; // the setting is not unset again: it is the empty text
    is_refused(&mut app, None, empty, "SELECT id FROM member").await;
    is_refused(&mut app, None, empty, "INSERT INTO rate_limit (tier, burst, period_ms) VALUES ('auth', 1, 1)").await;
    is_refused(&mut bed.database().as_owner().await, None, undefined, "SELECT id FROM member").await;

    let mut tx = bed.store.system_write().await.unwrap();
    assert!(tx.execute(APPEND, args![]).await.is_err(), "a system transaction without a tenant has no context either");
    drop(tx);
    bed.end().await;
}

#[tokio::test]
async fn the_feed_is_the_only_way_across_tenants() {
    let bed = Bed::new(Kind::Postgres).await;
    let (ours, theirs) = (bed.tenant().await, bed.tenant().await);
    let mut app = bed.database().as_app().await;
    for tenant in [ours, theirs] {
        let insert = "INSERT INTO change (kind, subject, value, at_ms) VALUES ('epoch', gen_random_uuid(), 1, 1)";
        run(&mut app, format!("BEGIN; SET LOCAL app.tenant = '{tenant}'; {insert}; COMMIT")).await;
    }
    let mut tx = app.begin_with(AssertSqlSafe(format!("BEGIN; SET LOCAL app.tenant = '{ours}'"))).await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM change").fetch_one(&mut *tx).await.unwrap();
    assert_eq!(seen, 1);
    drop(tx);
    let mut tx = bed.store.system_read().await.unwrap();
    let rows = feed::changes_after(&mut tx, 0, UnixMs::MAX, 9).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.tenant).collect::<Vec<_>>(), [ours, theirs]);
    drop(tx);
    bed.end().await;
}

/// 200 tenants over 4 server connections, each transaction on whichever is free.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn interleaved_tenants_never_meet_behind_a_pooler() {
    let bed = Bed::new(Kind::PgBouncer).await;
    let mut tenants = Vec::new();
    for _ in 0..200 {
        tenants.push(bed.tenant_with_member().await);
    }
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..8 {
        let (store, tenants) = (bed.store.clone(), tenants.clone());
        callers.spawn(async move {
            let mut crossed = 0;
            for turn in 0..tenants.len() {
                let (tenant, own) = tenants[(turn * 7 + caller * 25) % tenants.len()];
                let mut tx = store.write(tenant).await.unwrap();
                let members = roster::page(&mut tx, None, 9).await.unwrap();
                crossed += members.iter().filter(|member| member.id != own).count();
                assert_eq!(members.len(), 1);
                if turn % 2 == 0 {
                    tx.commit().await.unwrap();
                }
            }
            crossed
        });
    }
    assert_eq!(callers.join_all().await.into_iter().sum::<usize>(), 0);
    bed.end().await;
}
