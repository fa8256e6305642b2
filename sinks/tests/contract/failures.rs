//! What a real server does to a write that is under way: slow commits, a full disk, a connection that is reset in the middle of its rows.

use testkit::postgres::Database;
use testkit::postgres_server::{PrivateServer, Stop};
use testkit::proxy::CuttingProxy;
use testkit::small_disk::SmallDisk;

use super::*;
use subject::Postgres;

/// The client's first bytes of rows.
const COPY_BEGINS: &[u8] = b"PGCOPY\n";
/// Behind them comes more than this, whatever the rows.
const ROW_BYTES_MIN: usize = 90;

async fn sql(database: &Database, text: &str) {
    database.client().await.unwrap().batch_execute(text).await.unwrap();
}

/// Each commit takes longer than anything else here, and for a while none ends at all; the other store of the hub does not notice.
#[tokio::test(flavor = "multi_thread")]
async fn slow_commits_slow_nobody_else_and_lose_nothing() {
    let (database, embedded) = (Database::of_the_run().await.unwrap(), Sqlite::new().await);
    let (subject, spills) = (Postgres::of(&database), [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()]);
    let rig = Rig::start(subject.open_sink().await, &spills[0], Mode::Works);
    let (sink, other) = Sqlite::split(embedded.open().await);
    let beside = Rig::start(sink, &spills[1], Mode::Works);
    // When a transaction ends, the trigger waits for a lock that a test can hold, and then two seconds more.
    sql(
        &database,
        "CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             PERFORM pg_advisory_xact_lock_shared(hashtext(current_schema())), pg_sleep(2); RETURN NULL; END $$; \
         CREATE CONSTRAINT TRIGGER nap AFTER UPDATE ON sink_cursor DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION nap()",
    )
    .await;
    let holder = database.client().await.unwrap();
    holder.batch_execute("SELECT pg_advisory_lock(hashtext(current_schema()))").await.unwrap();
    let groups = workload();
    for rig in [&rig, &beside] {
        rig.push(&groups);
    }
    beside.wait_for("the other store has all of it", |status| status.cursors.is_some_and(|c| TIMES <= c.rows)).await;
    let status = rig.wait_for("the queue is drained all the while", |status| TIMES <= status.sealed).await;
    assert_eq!(status.cursors.map_or(0, |cursors| cursors.rows), 0, "no commit has ended yet");
    holder.batch_execute("SELECT pg_advisory_unlock_all()").await.unwrap();
    rig.wait_for("it caught up", |status| status.cursors.is_some_and(|c| TIMES <= c.rows)).await;
    assert_eq!((rig.complete().await.lost, beside.complete().await.lost), (0, 0));
    assert_eq!(Postgres::contents(&subject.open().await).await, wanted::<Sqlite>().await);
    assert_eq!(Sqlite::contents_of(&other).await, wanted::<Sqlite>().await);
}

/// The server has no room for some time: nothing is put aside, everything is tried again until there is.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_waited_for_and_caught_up_with() {
    let database = Database::of_the_run().await.unwrap();
    let (subject, spill) = (Postgres::of(&database), tempfile::tempdir().unwrap());
    let rig = Rig::start(subject.open_sink().await, &spill, Mode::Works);
    let groups = workload();
    rig.push(&groups[..10]);
    rig.wait_for("the beginning is stored", |status| status.cursors.is_some_and(|c| groups[9].t <= c.rows)).await;
    sql(
        &database,
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$; \
         CREATE TRIGGER no_room BEFORE INSERT ON raw_frames FOR EACH ROW EXECUTE FUNCTION no_room()",
    )
    .await;
    rig.push(&groups[10..30]);
    let status = rig.wait_for("it is told", |status| !status.health.is_up).await;
    assert!(status.health.last_error.is_some_and(|said| said.contains("No space left") && said.contains("53100")));
    rig.wait_for("the queue is drained into the spill", |status| 0 < status.backlog_bytes).await;
    sql(&database, "DROP TRIGGER no_room ON raw_frames").await;
    rig.push(&groups[30..]);
    rig.wait_for("it caught up", |status| status.cursors.is_some_and(|c| TIMES <= c.rows)).await;
    let status = rig.complete().await;
    assert!(status.health.is_up && status.lost == 0, "{status:?}");
    assert_eq!(Postgres::contents(&subject.open().await).await, wanted::<Sqlite>().await);
}

/// The same on a file system that has no byte left.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_really_full_is_waited_for_until_somebody_makes_room() {
    let disk = match SmallDisk::mount(32) {
        Ok(disk) => disk,
        Err(error) => return println!("skipped: a small file system cannot be mounted here: {error}"),
    };
    let (server, spill) = (PrivateServer::start().unwrap(), tempfile::tempdir().unwrap());
    server.own(disk.path()).unwrap();
    let database = Database::on(&server.url()).await.unwrap();
    let path = disk.path().display();
    sql(&database, &format!("CREATE TABLESPACE small LOCATION '{path}'")).await;
    sql(&database, "ALTER ROLE postgres SET default_tablespace = small").await;
    let subject = Postgres::of(&database);
    let rig = Rig::start(subject.open_sink().await, &spill, Mode::Works);
    let groups = workload();
    rig.push(&groups[..10]);
    rig.wait_for("the beginning is stored", |status| status.cursors.is_some_and(|c| groups[9].t <= c.rows)).await;
    disk.fill().unwrap();
    rig.push(&groups[10..]);
    let status = rig.wait_for("it is told", |status| !status.health.is_up).await;
    assert!(status.health.last_error.is_some_and(|said| said.contains("No space left") && said.contains("53100")));
    rig.wait_for("the queue is drained into the spill", |status| 0 < status.backlog_bytes).await;
    disk.make_room(256).unwrap();
    rig.wait_for("it caught up", |status| status.cursors.is_some_and(|c| TIMES <= c.rows)).await;
    let status = rig.complete().await;
    assert!(status.health.is_up && status.lost == 0, "{status:?}");
    assert_eq!(Postgres::contents(&subject.open().await).await, wanted::<Sqlite>().await);
    server.stop(Stop::Immediate).unwrap();
}

/// The connection is reset somewhere in the rows of a COPY, again and again: the transaction is gone as a whole, and written as a whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_reset_in_the_middle_of_its_rows_loses_and_repeats_nothing() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let database = Database::of_the_run().await.unwrap();
    let proxy = CuttingProxy::start(database.server(), COPY_BEGINS).await.unwrap();
    let (subject, spill) = (Postgres::of(&database.through(proxy.address())), tempfile::tempdir().unwrap());
    let rig = Rig::start(subject.open_sink().await, &spill, Mode::Works);
    let groups = workload();
    let mut cuts = 0;
    for groups in groups.chunks(8) {
        for _ in 0..rng.usize(1..=3) {
            proxy.cut_after(rng.usize(..ROW_BYTES_MIN));
            cuts += 1;
        }
        rig.push(groups);
        let end = groups[groups.len() - 1].t;
        rig.wait_for("it is stored", |status| status.cursors.is_some_and(|c| end <= c.rows)).await;
        assert_eq!(proxy.made(), cuts);
    }
    let status = rig.complete().await;
    assert_eq!((status.lost, status.cursors.map(|cursors| cursors.oldest())), (0, Some(TIMES)));
    assert_eq!(Postgres::contents(&Postgres::of(&database).open().await).await, wanted::<Sqlite>().await);
}
