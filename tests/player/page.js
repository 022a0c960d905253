// Asked by its own address: page.html?player=hls|dash&url=…&speed=4&switchAt=…
// Starts with the smallest rendition, changes to the largest at `switchAt` seconds, and when the video has ended
// posts what it saw to /report: the test judges it.
'use strict';

const asked = new URLSearchParams(location.search);
const video = document.getElementById('video');
const seen = { errors: [], sizes: [], seeks: 0, ended: false, renditions: [], buffered: {} };

const fail = (what, detail) => {
  seen.errors.push(`${what}: ${detail}`);
  report();
};
addEventListener('error', (event) => fail('script', event.message));
addEventListener('unhandledrejection', (event) => fail('promise', event.reason?.stack ?? event.reason));

const ranges = (times) => Array.from({ length: times.length }, (_, i) => [times.start(i), times.end(i)]);

let reported = false;
async function report() {
  if (reported) return;
  reported = true;
  seen.currentTime = video.currentTime;
  seen.duration = video.duration;
  seen.played = ranges(video.played);
  seen.audioBytes = video.webkitAudioDecodedByteCount;
  seen.videoBytes = video.webkitVideoDecodedByteCount;
  seen.frames = video.getVideoPlaybackQuality().totalVideoFrames;
  await fetch('/report', { method: 'POST', body: JSON.stringify(seen) });
}

// Picture and sound apart: `video.buffered` has only what both have.
const addSourceBuffer = MediaSource.prototype.addSourceBuffer;
MediaSource.prototype.addSourceBuffer = function (type) {
  const buffer = addSourceBuffer.call(this, type);
  const kind = type.slice(0, 5);
  buffer.addEventListener('updateend', () => {
    try {
      seen.buffered[kind] ??= ranges(buffer.buffered)[0]?.[0];
    } catch {
      // The buffer has been taken away: what it had is noted.
    }
  });
  return buffer;
};

function size() {
  const now = `${video.videoWidth}x${video.videoHeight}`;
  if (video.videoWidth > 0 && seen.sizes.at(-1) !== now) seen.sizes.push(now);
}
video.addEventListener('loadedmetadata', size);
video.addEventListener('resize', size);
video.addEventListener('error', () => fail('video', `${video.error.code} ${video.error.message}`));
// Players leap over gaps by seeking.
video.addEventListener('seeking', () => (seen.seeks += 1));
video.addEventListener('ended', () => {
  seen.ended = true;
  report();
});

function playWith(change) {
  const switchAt = Number(asked.get('switchAt'));
  const watch = () => {
    if (video.currentTime < switchAt) return;
    video.removeEventListener('timeupdate', watch);
    change();
  };
  video.addEventListener('timeupdate', watch);
  video.playbackRate = Number(asked.get('speed'));
  return video.play();
}

function playHls(url) {
  const hls = new Hls({ autoStartLoad: false, maxBufferLength: 60 });
  hls.on(Hls.Events.ERROR, (_, data) => {
    // On a slow machine a player waits for its own next segment; what it does about it, leap, is seen elsewhere.
    if (data.details !== Hls.ErrorDetails.BUFFER_STALLED_ERROR) fail('hls', `${data.details} ${data.error ?? ''}`);
  });
  hls.on(Hls.Events.MANIFEST_PARSED, () => {
    seen.renditions = hls.levels.map((level) => ({
      width: level.width,
      height: level.height,
      rate: level.frameRate,
      bandwidth: level.bitrate,
      average: level.averageBitrate,
      codecs: [level.videoCodec, level.audioCodec],
    }));
    // Their order is that of the bit rates.
    hls.loadLevel = 0;
    hls.startLoad();
    playWith(() => (hls.nextLevel = hls.levels.length - 1)).catch((error) => fail('play', error));
  });
  hls.loadSource(url);
  hls.attachMedia(video);
}

async function playDash(url) {
  shaka.polyfill.installAll();
  const player = new shaka.Player();
  player.addEventListener('error', ({ detail }) => fail('dash', `${detail.code} ${detail.message}`));
  await player.attach(video);
  player.configure({
    // No changes but ours, and the smallest first.
    abr: { enabled: false, useNetworkInformation: false, defaultBandwidthEstimate: 1 },
    // A slow machine makes a player wait; it shall not take that for a fault and leap. Over gaps it still does.
    streaming: { bufferingGoal: 60, stallEnabled: false },
  });
  const tracks = () => player.getVariantTracks().sort((a, b) => a.bandwidth - b.bandwidth);
  await player.load(url);
  seen.renditions = tracks().map((track) => ({
    width: track.width,
    height: track.height,
    rate: track.frameRate,
    bandwidth: track.bandwidth,
    codecs: [track.videoCodec, track.audioCodec],
  }));
  await playWith(() => player.selectVariantTrack(tracks().at(-1), true, 1));
}

const play = { hls: playHls, dash: playDash }[asked.get('player')];
Promise.resolve(play(asked.get('url'))).catch((error) => fail('player', error.stack ?? `${error.code} ${error}`));
