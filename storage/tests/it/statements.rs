//! Every statement has the same shape on both engines, and PostgreSQL can plan it as the runtime role.

use std::fs;
use std::path::Path;

use freehold_storage::sql::Statement;
use freehold_storage::{POSTGRES_STATEMENTS, STATEMENTS};
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Column, Connection, Either, Executor, SqlSafeStr, Statement as _, TypeInfo};

use crate::fixture::{Bed, Folder, Kind, run, tenant_id};
use freehold_storage::Store;

/// Names and types of the columns of an answer.
type Columns = Vec<(String, String)>;

#[tokio::test]
async fn statements_have_one_shape_and_can_be_planned() {
    let bed = Bed::new(Kind::Postgres).await;
    let folder = Folder::new();
    let store = Store::open_sqlite(folder.options(1)).await.unwrap();
    let tenant = tenant_id();
    store.create_tenant_store(tenant).await.unwrap();
    let tenant_file = format!("tenants/{tenant}.db");
    let mut files = Vec::new();
    for name in [tenant_file.as_str(), "system.db", "keys.db"] {
        let options = SqliteConnectOptions::new().filename(folder.path().join(name));
        files.push(SqliteConnection::connect_with(&options).await.unwrap());
    }
    let mut server = bed.database().as_app().await;
    run(&mut server, "SET search_path = public, keys".to_owned()).await;

    for statement in STATEMENTS.concat() {
        let file = match statement.name.split("::").nth(1).unwrap() {
            "directory" | "custom_domain" => &mut files[1],
            "root_key" | "master_check" | "master_seal" | "acme" => &mut files[2],
            _ => &mut files[0],
        };
        let (sqlite, postgres) =
            (shape_on_sqlite(file, statement).await, shape_on_postgres(&mut server, statement).await);
        assert_eq!(sqlite.len(), postgres.len(), "{}", statement.name);
        for (ours, theirs) in sqlite.iter().zip(&postgres) {
            assert_eq!(ours.0, theirs.0, "{}", statement.name);
            let alike = matches!(
                (theirs.1.as_str(), ours.1.as_str()),
                ("UUID" | "BYTEA", "BLOB") | ("INT8", "INTEGER" | "NULL") | ("TEXT", "TEXT")
            );
            assert!(alike, "{}: {ours:?} is {theirs:?} on PostgreSQL", statement.name);
        }
        plan(&mut server, statement).await;
    }
    for statement in POSTGRES_STATEMENTS.concat() {
        shape_on_postgres(&mut server, statement).await;
        plan(&mut server, statement).await;
    }
    drop(server);
    store.close().await;
    bed.end().await;
}

async fn shape_on_sqlite(connection: &mut SqliteConnection, statement: Statement) -> Columns {
    let prepared = match connection.prepare(statement.text.into_sql_str()).await {
        Ok(prepared) => prepared,
        Err(error) => panic!("{}: {error}", statement.name),
    };
    assert_eq!(prepared.parameters().map(Either::right), Some(Some(statement.parameters)), "{}", statement.name);
    prepared.columns().iter().map(|c| (c.name().to_owned(), c.type_info().name().to_owned())).collect()
}

async fn shape_on_postgres(connection: &mut PgConnection, statement: Statement) -> Columns {
    let prepared = match connection.prepare(statement.text.into_sql_str()).await {
        Ok(prepared) => prepared,
        Err(error) => panic!("{}: {error}", statement.name),
    };
    let Some(Either::Left(types)) = prepared.parameters() else { panic!("{}: no parameters", statement.name) };
    assert_eq!(types.len(), statement.parameters, "{}", statement.name);
    for type_info in types {
        assert!(["UUID", "INT8", "TEXT", "BYTEA"].contains(&type_info.name()), "{}: {type_info}", statement.name);
    }
    prepared.columns().iter().map(|c| (c.name().to_owned(), c.type_info().name().to_owned())).collect()
}

/// Only a plan checks the grants and finds the index that a conflict needs; `prepare` does not.
async fn plan(connection: &mut PgConnection, statement: Statement) {
    let arguments = match statement.parameters {
        0 => String::new(),
        n => format!("({})", vec!["NULL"; n].join(", ")),
    };
    let Statement { name, text, .. } = statement;
    let script = format!(
        "BEGIN; SET LOCAL app.tenant = '{}'; PREPARE planned AS {text}; EXPLAIN EXECUTE planned{arguments}; ROLLBACK; \
         DEALLOCATE planned",
        tenant_id()
    );
    if let Err(error) = sqlx::raw_sql(sqlx::AssertSqlSafe(script)).execute(connection).await {
        panic!("{name}: {error}");
    }
}

#[test]
fn every_module_with_statements_is_listed() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let declaring = fs::read_dir(source)
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok())
        .filter(|text| text.contains("\nqueries! {"))
        .count();
    assert_eq!(declaring, STATEMENTS.len() + POSTGRES_STATEMENTS.len());
}
