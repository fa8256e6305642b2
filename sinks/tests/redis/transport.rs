//! TLS with a certificate of the test's own, and a cluster.

use sinks::redis::RedisSettings;
use sinks::relay::RelaySettings;
use testkit::redis::RedisServer;
use testkit::servers::private_dir;

use crate::rig::{HASTY, Rig, SOON, settings};

fn hasty() -> RelaySettings {
    RelaySettings { patience: HASTY, ..RelaySettings::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_connection_is_made_only_to_a_server_whose_certificate_is_known() {
    let dir = private_dir().unwrap();
    testkit::certificate::make(dir.path()).unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (file("cert.pem"), file("key.pem"));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let tls = ["--tls-port", &port, "--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-auth-clients", "no"];
    let redis = RedisServer::start(&tls).unwrap();
    let url = format!("rediss://127.0.0.1:{port}");

    let stranger = Rig::with(settings(&url), hasty());
    let down = stranger.health(|health| !health.is_up).await;
    let reason = down.last_error.unwrap_or_default().to_lowercase();
    assert!(reason.contains("certificate") || reason.contains("unknownissuer"), "{reason}");
    stranger.stop().await;

    let rig = Rig::with(RedisSettings { ca_file: Some(dir.path().join("ca.pem")), ..settings(&url) }, hasty());
    rig.tick(3, 1_000, 0.5);
    rig.settled(&redis).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_holds_the_same_keys() {
    let redis = RedisServer::start(&["--cluster-enabled", "yes"]).unwrap();
    redis.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let is_ready = |info: &String| info.contains("cluster_state:ok");
    testkit::eventually(SOON, async || redis.cli(&["CLUSTER", "INFO"]), is_ready).await.unwrap();
    let rig = Rig::with(settings(&redis.url().replace("redis://", "redis-cluster://")), hasty());
    rig.tick(50, 1_000, 0.5);
    rig.settled(&redis).await;
    rig.tick(50, 1_005, 0.75);
    rig.settled(&redis).await;
    rig.stop().await;
}
