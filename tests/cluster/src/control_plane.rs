//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler, as processes of the test.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use rustix::process::Signal;

use crate::certificates::{Authority, Issued, signing_key};
use crate::daemon::Daemon;
use crate::folder::Folder;
use crate::kubeconfig::{self, Server, User};
use crate::port::Port;
use crate::ran::Ran;
use crate::tools::tool;
use crate::wait::on_a_runtime;

/// Ten times what a start takes on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Services' addresses; the first is the API server's own.
const SERVICE_RANGE: &str = "10.96.0.0/16";
const SERVICE_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1));

/// How many requests a second the controller-manager and the scheduler allow themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Qps {
    /// Their defaults, which nearly every cluster has: 20 and 50. The controller-manager then takes five seconds more
    /// to start, and a minute for a thousand pods.
    Stock,
    /// A thousand: nothing waits for these limits.
    #[default]
    Fast,
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How fast the controllers may be.
    pub qps: Qps,
    /// Whether kube-controller-manager runs: without it there are no pods of Deployments, no service accounts, and
    /// nothing is collected.
    pub controller_manager: bool,
    /// Whether kube-scheduler runs.
    pub scheduler: bool,
    /// More flags for kube-apiserver; they override those given by default.
    pub api_server_flags: Vec<String>,
    /// More flags for kube-controller-manager.
    pub controller_manager_flags: Vec<String>,
}

impl Default for Settings {
    /// All four programs, as fast as they can.
    fn default() -> Self {
        Self {
            qps: Qps::Fast,
            controller_manager: true,
            scheduler: true,
            api_server_flags: Vec::new(),
            controller_manager_flags: Vec::new(),
        }
    }
}

impl Settings {
    /// All four programs, at the limits that nearly every cluster has.
    #[must_use]
    pub fn stock() -> Self {
        Self { qps: Qps::Stock, ..Self::default() }
    }

    /// etcd and kube-apiserver only.
    #[must_use]
    pub fn api_only() -> Self {
        Self { controller_manager: false, scheduler: false, ..Self::default() }
    }
}

/// A running control plane, on the loopback, with RBAC. Dropping it stops every program and removes every file, and so
/// does the end of the test process: one that several tests share may stand in a `static`.
pub struct ControlPlane {
    settings: Settings,
    port: Port,
    authority: Authority,
    server_certificate: Issued,
    kubelet_client: Issued,
    /// What service account tokens are signed with, and the public half.
    token_key: (PathBuf, PathBuf),
    admin: PathBuf,
    api_server: Mutex<Option<Daemon>>,
    others: Mutex<Vec<Daemon>>,
    // Last: the programs are gone by the time it is removed.
    folder: Folder,
}

impl ControlPlane {
    /// Starts a control plane, and returns when the API server is ready and, with a controller-manager, the service
    /// account of the namespace `default` is there.
    ///
    /// Panics with the ends of the logs when that takes too long.
    #[must_use]
    pub fn start(settings: Settings) -> Self {
        let folder = Folder::new("reelpool-cluster-");
        for name in ["home", "kubeconfigs", "logs"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let authority = Authority::new(folder.path().join("pki"));
        let token_key = signing_key(&folder.path().join("pki"), "service-accounts");
        let names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
        let addresses = [Ipv4Addr::LOCALHOST.into(), SERVICE_ADDRESS];
        let mut plane = Self {
            port: Port::reserve(),
            server_certificate: authority.issue("kube-apiserver", "", &names, &addresses),
            kubelet_client: authority.issue("kube-apiserver-kubelet-client", "system:masters", &[], &[]),
            admin: folder.path().join("kubeconfigs/admin"),
            token_key,
            api_server: Mutex::default(),
            others: Mutex::default(),
            settings,
            authority,
            folder,
        };
        plane.admin = plane.kubeconfig_of("admin", "system:masters");
        plane.start_etcd();
        plane.start_api_server();
        if plane.settings.controller_manager {
            plane.start_controller_manager();
        }
        if plane.settings.scheduler {
            plane.start_scheduler();
        }
        if plane.settings.controller_manager {
            plane.wait_for("/api/v1/namespaces/default/serviceaccounts/default");
        }
        plane
    }

    /// A kubeconfig with every right.
    #[must_use]
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.admin
    }

    /// A kubeconfig that holds a token of this service account (namespace, name), which must exist: whoever uses it
    /// may do exactly what RBAC lets the account do. The token is good for a day.
    #[must_use]
    pub fn kubeconfig_for(&self, (namespace, name): (&str, &str)) -> PathBuf {
        let token = self.kubectl(&["create", "token", "-n", namespace, name, "--duration=24h"]).ok();
        let file = self.folder.path().join(format!("kubeconfigs/{namespace}.{name}"));
        let server = Server { url: &self.server(), name: None };
        kubeconfig::write(&file, &server, self.ca_file(), &User::Token(token.trim()));
        file
    }

    /// A client with every right. It belongs to the runtime that this is called on.
    pub async fn client(&self) -> kube::Client {
        self.client_of(&self.admin).await
    }

    /// A client that speaks as the user of this kubeconfig.
    pub async fn client_of(&self, kubeconfig: &Path) -> kube::Client {
        client_of(kubeconfig).await
    }

    /// The API server's URL.
    #[must_use]
    pub fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.port.number())
    }

    /// The API server's port.
    pub(crate) fn port(&self) -> u16 {
        self.port.number()
    }

    /// The certificate of the authority that all of this cluster trusts.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.authority.files().cert
    }

    /// A certificate of this cluster, for a client, a server or both: a kubelet's are for `system:node:NAME` of the
    /// organisation `system:nodes`. `organisation` may be empty.
    #[must_use]
    pub fn issue(&self, common_name: &str, organisation: &str, dns: &[&str], addresses: &[IpAddr]) -> Issued {
        self.authority.issue(common_name, organisation, dns, addresses)
    }

    /// A kubeconfig whose client certificate has this name and organisation.
    #[must_use]
    pub fn kubeconfig_of(&self, common_name: &str, organisation: &str) -> PathBuf {
        let issued = self.authority.issue(common_name, organisation, &[], &[]);
        let file = self.folder.path().join("kubeconfigs").join(common_name.replace([':', '/'], "-"));
        let server = Server { url: &self.server(), name: None };
        kubeconfig::write(&file, &server, self.ca_file(), &User::Certificate(&issued));
        file
    }

    /// Where everything of this control plane is kept; it goes when the control plane does.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where a program that is run beside this control plane should log to.
    #[must_use]
    pub fn log_of(&self, name: &str) -> PathBuf {
        self.folder.path().join("logs").join(format!("{name}.log"))
    }

    /// Runs kubectl with every right.
    #[must_use]
    pub fn kubectl(&self, args: &[&str]) -> Ran {
        self.kubectl_with(args, "")
    }

    /// Runs kubectl with every right and with `input` on its standard input.
    #[must_use]
    pub fn kubectl_with(&self, args: &[&str], input: &str) -> Ran {
        self.run("kubectl", args, input)
    }

    /// Runs helm with every right.
    #[must_use]
    pub fn helm(&self, args: &[&str]) -> Ran {
        self.run("helm", args, "")
    }

    /// Applies manifests (server-side); panics when one is refused.
    pub fn apply(&self, yaml: &str) {
        let _ = self.kubectl_with(&["apply", "--server-side", "--force-conflicts", "-f", "-"], yaml).ok();
    }

    /// SIGKILL for the API server. Its port stays reserved.
    pub fn kill_api_server(&self) {
        *lock(&self.api_server) = None;
    }

    /// Starts the API server, again and on the same port after [`Self::kill_api_server`]; returns when it is ready.
    pub fn start_api_server(&self) {
        // The old one must be gone: both would get connections otherwise.
        self.kill_api_server();
        *lock(&self.api_server) = Some(self.daemon("kube-apiserver", self.api_server_flags()));
        self.wait_for("/readyz");
    }

    /// Sends the API server a signal: `STOP` makes it one that accepts and never answers, `CONT` ends that.
    pub fn signal_api_server(&self, signal: Signal) {
        lock(&self.api_server).as_ref().expect("the API server runs").signal(signal);
    }

    fn run(&self, program: &str, args: &[&str], input: &str) -> Ran {
        let kubeconfig = format!("--kubeconfig={}", self.admin.display());
        let args: Vec<&str> = std::iter::once(kubeconfig.as_str()).chain(args.iter().copied()).collect();
        Ran::run(&tool(program), &args, input, &self.folder.path().join("home"))
    }

    fn start_etcd(&self) {
        let flags = vec![
            format!("--data-dir={}", self.folder.path().join("etcd").display()),
            format!("--listen-client-urls={}", self.etcd_url()),
            // What it would tell others: there are none.
            "--advertise-client-urls=http://localhost:2379".to_owned(),
            format!("--listen-peer-urls=unix://{}", self.folder.path().join("peers.sock").display()),
            // What it holds need not outlive the machine.
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        let etcd = self.daemon("etcd", flags);
        lock(&self.others).push(etcd);
    }

    /// A socket in our folder: no port to collide on, and nobody else's way in.
    fn etcd_url(&self) -> String {
        format!("unix://{}", self.folder.path().join("etcd.sock").display())
    }

    fn api_server_flags(&self) -> Vec<String> {
        let ca = &self.authority.files().cert;
        let mut flags = vec![
            format!("--etcd-servers={}", self.etcd_url()),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.port.number()),
            "--permit-port-sharing".to_owned(),
            // Endpoints must not have an address of the loopback: it would try for ever.
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--service-cluster-ip-range={SERVICE_RANGE}"),
            format!("--tls-cert-file={}", self.server_certificate.cert.display()),
            format!("--tls-private-key-file={}", self.server_certificate.key.display()),
            format!("--client-ca-file={}", ca.display()),
            format!("--kubelet-certificate-authority={}", ca.display()),
            format!("--kubelet-client-certificate={}", self.kubelet_client.cert.display()),
            format!("--kubelet-client-key={}", self.kubelet_client.key.display()),
            format!("--service-account-signing-key-file={}", self.token_key.0.display()),
            format!("--service-account-key-file={}", self.token_key.1.display()),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--allow-privileged".to_owned(),
        ];
        flags.extend(self.settings.api_server_flags.iter().cloned());
        flags
    }

    fn start_controller_manager(&self) {
        let ca = self.authority.files();
        let kubeconfig = self.kubeconfig_of("system:kube-controller-manager", "");
        let mut flags = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            // Each controller with its own account, as kubeadm has it.
            "--use-service-account-credentials".to_owned(),
            format!("--service-account-private-key-file={}", self.token_key.0.display()),
            format!("--root-ca-file={}", ca.cert.display()),
            format!("--cluster-signing-cert-file={}", ca.cert.display()),
            format!("--cluster-signing-key-file={}", ca.key.display()),
        ];
        flags.extend(self.controller_flags());
        flags.extend(self.settings.controller_manager_flags.iter().cloned());
        let controller_manager = self.daemon("kube-controller-manager", flags);
        lock(&self.others).push(controller_manager);
    }

    fn start_scheduler(&self) {
        let kubeconfig = self.kubeconfig_of("system:kube-scheduler", "");
        let mut flags = vec![format!("--kubeconfig={}", kubeconfig.display())];
        flags.extend(self.controller_flags());
        let scheduler = self.daemon("kube-scheduler", flags);
        lock(&self.others).push(scheduler);
    }

    /// What controller-manager and scheduler have in common: alone of their kind, without a port.
    fn controller_flags(&self) -> Vec<String> {
        let mut flags = vec!["--leader-elect=false", "--secure-port=0"];
        if self.settings.qps == Qps::Fast {
            flags.extend(["--kube-api-qps=1000", "--kube-api-burst=2000"]);
        }
        flags.into_iter().map(str::to_owned).collect()
    }

    fn daemon(&self, program: &str, flags: Vec<String>) -> Daemon {
        let mut command = Command::new(tool(program));
        command.args(flags).current_dir(self.folder.path());
        Daemon::spawn(program, &command, self.log_of(program))
    }

    /// Waits until a GET of `path` succeeds.
    fn wait_for(&self, path: &str) {
        let start = Instant::now();
        while !on_a_runtime(async { self.answers(path).await }) {
            let all_run = self.all(Daemon::runs).into_iter().all(|runs| runs);
            if !all_run || start.elapsed() > READY_WITHIN {
                let reports = self.all(Daemon::report);
                panic!("no answer to {path} after {:?}\n{}", start.elapsed(), reports.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn all<T>(&self, ask: impl Fn(&mut Daemon) -> T) -> Vec<T> {
        let (mut api_server, mut others) = (lock(&self.api_server), lock(&self.others));
        api_server.iter_mut().chain(&mut *others).map(ask).collect()
    }

    async fn answers(&self, path: &str) -> bool {
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        let client = self.client().await;
        matches!(tokio::time::timeout(Duration::from_secs(5), client.request_text(request)).await, Ok(Ok(_)))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A client that speaks as the user of this kubeconfig, on the runtime that this is called on.
pub(crate) async fn client_of(kubeconfig: &Path) -> kube::Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

impl std::fmt::Debug for ControlPlane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlPlane").field("server", &self.server()).finish_non_exhaustive()
    }
}
