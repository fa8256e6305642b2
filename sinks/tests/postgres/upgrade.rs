//! A database that an earlier program made, with what people have built on it since.

use std::sync::Arc;
use std::time::Duration;

use model::Output;
use model::query::{History, ProcessQuery};
use sinks::sink::Sink;
use testkit::postgres::Database;
use testkit::postgres_server::PrivateServer;

use crate::fixtures::{at, machine, processes};
use crate::store::Store;

/// As the sixth migration left it.
const SIX: &str = "DROP VIEW processes; DROP TABLE process_minutes; \
                   ALTER TABLE machines ADD COLUMN processes jsonb, ADD COLUMN processes_time timestamptz NOT NULL DEFAULT 'epoch'; \
                   DELETE FROM schema_migrations WHERE number > 6";

async fn stores_processes_again(mut store: Store) {
    store.sink = store.again("");
    store.sink.connect().await.unwrap();
    let table = processes("a", at(99_000), &[("sshd", 1.0, 1)]);
    store.write(1, vec![Output::Processes(Arc::new(table.clone()))]).await.unwrap();
    let query = ProcessQuery { machine: machine("a"), at: at(99_000), reach: Duration::ZERO };
    assert_eq!(store.history.processes(query).await.unwrap(), Some(table));
    store.upkeep().await;
}

#[tokio::test]
async fn a_view_that_reads_what_is_no_longer_written_keeps_nobody_from_the_new_schema() {
    for store in Store::of_both().await {
        store.sql(SIX).await;
        store.sql("CREATE VIEW mine AS SELECT machine, processes FROM machines").await;
        stores_processes_again(store).await;
    }
}

#[tokio::test]
async fn what_has_partitions_goes_on_with_partitions_though_the_extension_has_come() {
    // Of its own: an extension is there for all of a database.
    let server = PrivateServer::start().unwrap();
    let store = Store::on(Database::on(&server.url()).await.unwrap()).await;
    store.sql(SIX).await;
    // What there is of the extension for a program that only asks whether it is there.
    store
        .sql(
            "SET allow_system_table_mods = on; \
             INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion) \
             VALUES (99999, 'timescaledb', 10, 'public'::regnamespace, false, '2.17.0')",
        )
        .await;
    stores_processes_again(store).await;
}
