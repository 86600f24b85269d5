//! Addresses: what one looks like, and how to log in at the servers it names. Nothing here shows a credential.

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisResult, TlsCertificates,
};

/// What an address may begin with, before the `://`.
pub const SCHEMES: [&str; 6] =
    ["redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"];

const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// Where the servers are, and the credentials: not to be shown as a whole.
#[derive(Debug)]
pub(super) struct Address {
    /// Scheme and hosts.
    pub(super) shown: String,
    pub(super) layout: Layout,
    /// The hosts and ports that the address names.
    pub(super) hosts: Vec<(String, u16)>,
    /// How to log in at a server; its host is that of the first.
    server: ConnectionInfo,
    /// How to log in at a Sentinel.
    sentinel: RedisConnectionInfo,
    certificates: Option<TlsCertificates>,
}

/// What stands at the hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layout {
    /// The server itself.
    One,
    /// Sentinels, which know the master of this name.
    Sentinel(String),
    /// Nodes of a cluster.
    Cluster,
}

/// What the part of an address behind the question mark says.
#[derive(Debug, Default)]
struct Parameters {
    service: Option<String>,
    sentinel_user: Option<String>,
    sentinel_password: Option<String>,
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
    protocol: Option<String>,
}

impl Address {
    /// Reads an address; the error says what is wrong and how it looks when it is right.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| example("redis", "the address has no scheme"))?;
        let wrong = |what: &str| example(scheme, what);
        if matches!(scheme, "unix" | "redis+unix") {
            return Self::socket(url).ok_or_else(|| wrong("the path cannot be read"));
        }
        let (tls, kind) = match scheme.strip_prefix("rediss") {
            Some(kind) => (true, kind),
            None => (false, scheme.strip_prefix("redis").ok_or_else(|| wrong("the scheme is not known"))?),
        };
        if rest.contains('#') {
            return Err(wrong("it has a '#'; in a password write %23"));
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = place.split_once('/').unwrap_or((place, ""));
        if path.contains('@') {
            return Err(wrong("there is an '@' behind a '/'; in a password write %2F for '/'"));
        }
        let parameters = Parameters::parse(query).map_err(|what| wrong(&what))?;
        let layout = match (kind, &parameters.service) {
            ("", None) => Layout::One,
            ("+cluster", None) => Layout::Cluster,
            ("+sentinel", Some(service)) if !service.is_empty() => Layout::Sentinel(service.clone()),
            ("+sentinel", _) => return Err(wrong("the name of the master is missing")),
            ("" | "+cluster", Some(_)) => return Err(wrong("only Sentinels know services")),
            _ => return Err(wrong("the scheme is not known")),
        };
        if layout == Layout::Cluster && !matches!(path, "" | "0") {
            return Err(wrong("a cluster has only database 0"));
        }
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let port = if matches!(layout, Layout::Sentinel(_)) { SENTINEL_PORT } else { REDIS_PORT };
        let hosts: Vec<_> = hosts.split(',').map(|host| read_host(host, port)).collect::<Option<_>>().ok_or_else(|| {
            wrong("a host or port cannot be read; in a password write %40 for '@', %3A for ':', %2F for '/', %3F for '?'")
        })?;
        if layout == Layout::One && hosts.len() > 1 {
            return Err(wrong("several hosts are Sentinels (redis+sentinel://) or a cluster (redis+cluster://)"));
        }
        let server = server(tls, login, &hosts[0], path, parameters.protocol.as_deref()).ok_or_else(|| {
            wrong("the user, the password, the number of the database or the protocol cannot be read")
        })?;
        let names: Vec<_> = hosts.iter().map(|(host, port)| at(host, *port)).collect();
        Ok(Self {
            shown: format!("{scheme}://{}", names.join(",")),
            layout,
            hosts,
            server,
            sentinel: parameters.sentinel(),
            certificates: parameters.certificates(tls).map_err(|what| wrong(&what))?,
        })
    }

    fn socket(url: &str) -> Option<Self> {
        let server = url.into_connection_info().ok()?;
        let shown = url.split('?').next().unwrap_or_default().to_owned();
        let sentinel = RedisConnectionInfo::default();
        Some(Self { shown, layout: Layout::One, hosts: Vec::new(), server, sentinel, certificates: None })
    }

    /// Returns the client of the server that the address itself names.
    pub(super) fn named(&self) -> RedisResult<Client> {
        self.client(self.server.clone())
    }

    /// Returns the client of a server at a host.
    pub(super) fn server_at(&self, host: &str, port: u16) -> RedisResult<Client> {
        self.client(self.at_host(host, port))
    }

    /// Returns the client of a Sentinel at a host.
    pub(super) fn sentinel_at(&self, host: &str, port: u16) -> RedisResult<Client> {
        self.client(self.at_host(host, port).set_redis_settings(self.sentinel.clone()))
    }

    /// Returns the user as which servers are talked to.
    pub(super) fn user(&self) -> &str {
        self.server.redis_settings().username().unwrap_or("default")
    }

    fn at_host(&self, host: &str, port: u16) -> ConnectionInfo {
        let host = host.to_owned();
        self.server.clone().set_addr(match self.server.addr() {
            ConnectionAddr::TcpTls { .. } => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            _ => ConnectionAddr::Tcp(host, port),
        })
    }

    fn client(&self, server: ConnectionInfo) -> RedisResult<Client> {
        match &self.certificates {
            Some(certificates) => Client::build_with_tls(server, certificates.clone()),
            None => Client::open(server),
        }
    }
}

impl Parameters {
    fn parse(query: &str) -> Result<Self, String> {
        let mut parameters = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "service" => &mut parameters.service,
                "sentinel_user" => &mut parameters.sentinel_user,
                "sentinel_password" => &mut parameters.sentinel_password,
                "ca" => &mut parameters.ca,
                "cert" => &mut parameters.cert,
                "key" => &mut parameters.key,
                "protocol" => &mut parameters.protocol,
                // Not named: it may be the rest of a password with a question mark.
                _ => {
                    return Err(
                        "behind the '?' may stand service, sentinel_user, sentinel_password, ca, cert, key and \
                                protocol; in a password write %3F for '?'"
                            .to_owned(),
                    );
                }
            };
            *place = Some(value.into_owned());
        }
        Ok(parameters)
    }

    fn sentinel(&self) -> RedisConnectionInfo {
        let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some(user) = &self.sentinel_user {
            login = login.set_username(user);
        }
        if let Some(password) = &self.sentinel_password {
            login = login.set_password(password);
        }
        login
    }

    fn certificates(&self, tls: bool) -> Result<Option<TlsCertificates>, String> {
        let files = [&self.ca, &self.cert, &self.key];
        if files.iter().all(|file| file.is_none()) {
            return Ok(None);
        }
        if !tls {
            return Err("ca, cert and key belong to rediss://, with a second s".to_owned());
        }
        let [ca, cert, key] = files.map(|file| {
            let read = |path: &String| std::fs::read(path).map_err(|error| format!("cannot read {path}: {error}"));
            file.as_ref().map(read).transpose()
        });
        let client_tls = match (cert?, key?) {
            (Some(client_cert), Some(client_key)) => Some(redis::ClientTlsConfig { client_cert, client_key }),
            (None, None) => None,
            _ => return Err("cert and key are given together".to_owned()),
        };
        Ok(Some(TlsCertificates { client_tls, root_cert: ca? }))
    }
}

/// Writes host and port, an IPv6 address in brackets.
pub(super) fn at(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn server(
    tls: bool,
    login: &str,
    (host, port): &(String, u16),
    database: &str,
    protocol: Option<&str>,
) -> Option<ConnectionInfo> {
    let scheme = if tls { "rediss" } else { "redis" };
    let mut url = url::Url::parse(&format!("{scheme}://{login}@{}/{database}", at(host, *port))).ok()?;
    if let Some(protocol) = protocol {
        url.query_pairs_mut().append_pair("protocol", protocol);
    }
    let server = url.into_connection_info().ok()?;
    // It would announce the library with a command that a user may not have.
    let login = server.redis_settings().clone().set_skip_set_lib_name();
    Some(server.set_redis_settings(login))
}

/// Reads `host`, `host:port` or `[ipv6]:port`.
fn read_host(text: &str, port: u16) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, digits)) if !digits.ends_with(']') => (host, digits.parse().ok()?),
        _ => (text, port),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    match bare {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().ok().map(|v6| (v6.to_string(), port)),
        None => (!host.is_empty() && host.bytes().all(fits)).then(|| (host.to_owned(), port)),
    }
}

/// Adds to what is wrong how it is right.
fn example(scheme: &str, wrong: &str) -> String {
    let right = match scheme.rsplit_once('+').map_or(scheme, |(_, kind)| kind) {
        "sentinel" => "redis+sentinel://user:password@host1:26379,host2:26379/0?service=mymaster",
        "cluster" => "redis+cluster://user:password@host1:6379,host2:6379",
        "unix" => "redis+unix:///run/redis.sock?db=0",
        "rediss" => "rediss://user:password@host:6380/0?ca=/etc/ssl/ca.pem",
        "redis" => "redis://user:password@host:6379/0",
        _ => {
            "redis://host:6379/0, redis+sentinel://host1,host2?service=mymaster or redis+cluster://host1,host2, each also with rediss"
        }
    };
    format!("the address cannot be used: {wrong}. It looks like {right}")
}

#[cfg(test)]
mod tests;
