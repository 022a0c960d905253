//! A web server for players: folders with byte ranges (RFC 9110, 14), and a place for reports. One request a
//! connection.

use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// The longest head and body of a request.
const MOST_BYTES: usize = 1 << 20;

/// A server on a free port of 127.0.0.1, until the test ends.
#[derive(Debug)]
pub struct MediaServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// What was posted to `/report`, in order.
    pub reports: Receiver<String>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A request for a file that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its path.
    pub path: String,
    /// Its `Range`, when it had one.
    pub range: Option<String>,
    /// The status that it got.
    pub status: u16,
}

impl MediaServer {
    /// Serves each folder under its prefix, such as `/media/`.
    #[must_use]
    pub fn start(folders: &[(&str, &Path)]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let (told, reports) = channel();
        let asked = Arc::default();
        let server = Self { address: listener.local_addr().unwrap(), reports, asked: Arc::clone(&asked) };
        let folders: Vec<_> =
            folders.iter().map(|(at, path)| ((*at).to_owned(), path.to_path_buf())).collect();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (told, asked, folders) = (told.clone(), Arc::clone(&asked), folders.clone());
                // A browser hangs up when it has enough: that is no error.
                std::thread::spawn(move || drop(serve(connection, &folders, &told, &asked)));
            }
        });
        server
    }

    /// All requests for files so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(
    mut connection: TcpStream,
    folders: &[(String, PathBuf)],
    told: &Sender<String>,
    asked: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    let Some((head, body)) = request(&mut connection)? else { return Ok(()) };
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    if (method, path) == ("POST", "/report") {
        let _ = told.send(body);
        return answer(&mut connection, 204, "text/plain", "", &mut std::io::empty(), 0);
    }
    let within = |(at, folder): &(String, PathBuf)| Some(folder.join(path.strip_prefix(at.as_str())?));
    let file = folders.iter().find_map(within).filter(|_| !path.contains("..") && method == "GET");
    let opened = file.and_then(|file| Some((std::fs::File::open(&file).ok()?, file)));
    let range = header(&head, "range");
    let note =
        |status| asked.lock().unwrap().push(Asked { path: path.to_owned(), range: range.clone(), status });
    let Some((mut opened, file)) = opened else {
        // Browsers ask for an icon, whatever the page.
        if path != "/favicon.ico" {
            note(404);
        }
        return answer(&mut connection, 404, "text/plain", "", &mut std::io::empty(), 0);
    };
    let len = opened.metadata()?.len();
    match range.as_deref().map(|range| wanted(range, len)) {
        None => {
            note(200);
            answer(&mut connection, 200, kind(&file), "Accept-Ranges: bytes\r\n", &mut opened, len)
        }
        Some(Some((first, last))) => {
            note(206);
            opened.seek(SeekFrom::Start(first))?;
            let more = format!("Content-Range: bytes {first}-{last}/{len}\r\n");
            answer(&mut connection, 206, kind(&file), &more, &mut opened, last - first + 1)
        }
        Some(None) => {
            note(416);
            let more = format!("Content-Range: bytes */{len}\r\n");
            answer(&mut connection, 416, "text/plain", &more, &mut std::io::empty(), 0)
        }
    }
}

/// The head and the body of a request; `None` when the other side hangs up first.
fn request(connection: &mut TcpStream) -> std::io::Result<Option<(String, String)>> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    while bytes.len() < MOST_BYTES {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let len = header(&head, "content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
            if let Some(body) = bytes.get(end + 4..end + 4 + len) {
                return Ok(Some((head, String::from_utf8_lossy(body).into_owned())));
            }
        }
        let read = connection.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        bytes.extend_from_slice(&chunk[..read]);
    }
    Ok(None)
}

fn header(head: &str, name: &str) -> Option<String> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut values = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    values.next().map(|value| value.trim().to_owned())
}

/// The first and the last byte of `bytes=A-B` or `bytes=A-`.
fn wanted(range: &str, len: u64) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse().ok()?;
    let last = if last.is_empty() { len.checked_sub(1)? } else { last.parse::<u64>().ok()?.min(len - 1) };
    (first <= last).then_some((first, last))
}

fn answer(
    connection: &mut TcpStream,
    status: u16,
    kind: &str,
    more: &str,
    body: &mut impl Read,
    len: u64,
) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\n{more}Connection: close\r\n\r\n"
    );
    connection.write_all(head.as_bytes())?;
    std::io::copy(&mut body.take(len), connection)?;
    Ok(())
}

fn kind(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html",
        Some("js") => "text/javascript",
        Some("m3u8") => "application/vnd.apple.mpegurl",
        Some("mpd") => "application/dash+xml",
        Some("mp4") => "video/mp4",
        _ => "application/octet-stream",
    }
}
