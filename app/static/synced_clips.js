// Two clips on one clock: they start together, stay together and loop together.
//
// The longer clip leads. Each animation frame the other is compared with it: small drift is steered away with the
// playback rate, large drift with a seek. A clip that has ended holds its last frame until the leader ends too.

import { ApiError } from "/ui/api_client.js";

const MAX_BLOB_BYTES = 24 * 1024 * 1024; // Larger clips are streamed instead of being fetched whole.
const STEER_ABOVE_S = 0.02;
const SEEK_ABOVE_S = 0.3;
const STEER_BY = 0.08;

export class SyncedClips {
  #videos;
  #fps = [24, 24];
  #releases = [];
  #wanted = false; // Whether the rater wants the clips to run.
  #restarting = false;
  #rate = 1;
  #frame = 0;
  #lastTick = 0;
  #onChange;

  loops = 0;
  steps = 0;
  secondsSeen = [0, 0];
  seenToEnd = [false, false];
  ratesUsed = new Set([1]);

  constructor(videos, onChange) {
    this.#videos = videos;
    this.#onChange = onChange;
    for (const video of videos) {
      video.addEventListener("waiting", () => this.#hold(video));
      video.addEventListener("canplay", () => this.#release());
    }
  }

  // Resolves when both clips can be played to their end.
  async load(clips) {
    this.#fps = clips.map((clip) => clip.fps || 24);
    await Promise.all(clips.map((clip, index) => this.#loadOne(this.#videos[index], clip.url)));
  }

  async #loadOne(video, url) {
    const { source, release } = await fetchClip(url);
    this.#releases.push(release);
    await new Promise((resolve, reject) => {
      video.addEventListener("canplaythrough", resolve, { once: true });
      video.addEventListener("error", () => reject(new ApiError(415, "This browser cannot play the clip.")), {
        once: true,
      });
      video.src = source;
      video.load();
    });
  }

  get running() {
    return this.#wanted;
  }

  get rate() {
    return this.#rate;
  }

  get duration() {
    return Math.max(...this.#videos.map((video) => video.duration || 0));
  }

  get time() {
    return this.#leader().currentTime;
  }

  play() {
    this.#wanted = true;
    if (this.#leader().ended) return this.#restart();
    this.#startTicking();
    this.#onChange();
    return this.#playAll();
  }

  pause() {
    this.#wanted = false;
    cancelAnimationFrame(this.#frame);
    for (const video of this.#videos) video.pause();
    this.#onChange();
  }

  toggle() {
    if (this.#wanted) this.pause();
    else this.play();
  }

  restart() {
    this.#wanted = true;
    return this.#restart();
  }

  setRate(rate) {
    this.#rate = rate;
    this.ratesUsed.add(rate);
    for (const video of this.#videos) video.playbackRate = rate;
    this.#onChange();
  }

  // One frame of the faster clip forward (1) or back (-1); both show the middle of a frame afterwards.
  step(direction) {
    this.pause();
    this.steps += 1;
    const fps = Math.max(...this.#fps);
    const last = Math.max(0, Math.round(this.duration * fps) - 1);
    const frame = Math.min(last, Math.max(0, Math.floor(this.time * fps + 1e-3) + direction));
    this.#seekTo((frame + 0.5) / fps);
  }

  seekFraction(fraction) {
    this.#seekTo(Math.min(1, Math.max(0, fraction)) * this.duration);
  }

  #seekTo(time) {
    this.#videos.forEach((video, index) => {
      const last = Math.max(0, video.duration - 0.5 / this.#fps[index]);
      video.currentTime = Math.min(time, last);
    });
    this.#onChange();
  }

  close() {
    this.pause();
    for (const video of this.#videos) video.removeAttribute("src");
    for (const release of this.#releases) release();
    this.#releases = [];
  }

  evidence() {
    const [left, right] = this.secondsSeen.map((seconds) => Math.round(seconds * 100) / 100);
    return {
      seconds_seen: { left, right },
      seen_to_end: { left: this.seenToEnd[0], right: this.seenToEnd[1] },
      loops: this.loops,
      frame_steps: this.steps,
      speeds: [...this.ratesUsed],
      dropped_frames: this.#videos.map((video) => video.getVideoPlaybackQuality?.().droppedVideoFrames ?? 0),
    };
  }

  #leader() {
    const [left, right] = this.#videos;
    return (right.duration || 0) > (left.duration || 0) ? right : left;
  }

  #playAll() {
    // A play() cut short by pause() rejects; that is what was wanted then.
    return Promise.all(
      this.#videos.filter((video) => !video.ended).map((video) => video.play().catch(() => undefined)),
    );
  }

  async #restart() {
    if (this.#restarting) return;
    this.#restarting = true;
    await Promise.all(this.#videos.map(rewind));
    this.#restarting = false;
    if (!this.#wanted) return;
    this.#startTicking();
    this.#onChange();
    await this.#playAll();
  }

  #startTicking() {
    cancelAnimationFrame(this.#frame);
    this.#lastTick = performance.now();
    this.#frame = requestAnimationFrame((now) => this.#tick(now));
  }

  #tick(now) {
    this.#frame = requestAnimationFrame((later) => this.#tick(later));
    this.#countSeen(Math.min(0.25, (now - this.#lastTick) / 1000));
    this.#lastTick = now;
    if (this.#restarting) return;
    if (this.#videos.every((video) => video.ended)) {
      this.loops += 1;
      this.#restart();
      return;
    }
    this.#steer();
    this.#onChange();
  }

  #steer() {
    const leader = this.#leader();
    const follower = this.#videos.find((video) => video !== leader);
    if (leader.ended || follower.ended || leader.seeking || follower.seeking) return;
    const drift = follower.currentTime - leader.currentTime;
    if (Math.abs(drift) > SEEK_ABOVE_S) {
      follower.currentTime = Math.min(leader.currentTime, follower.duration);
    }
    const steering = Math.abs(drift) > STEER_ABOVE_S ? -Math.sign(drift) * STEER_BY : 0;
    const rate = this.#rate * (1 + steering);
    if (follower.playbackRate !== rate) follower.playbackRate = rate;
  }

  #countSeen(seconds) {
    if (document.visibilityState !== "visible") return;
    this.#videos.forEach((video, index) => {
      if (!video.paused && !video.ended) this.secondsSeen[index] += seconds;
      if (video.ended || video.currentTime > video.duration - 1.5 / this.#fps[index]) this.seenToEnd[index] = true;
    });
  }

  // One clip ran dry: the other waits for it.
  #hold(stalled) {
    if (!this.#wanted || this.#restarting) return;
    for (const video of this.#videos) if (video !== stalled) video.pause();
  }

  #release() {
    if (this.#wanted && !this.#restarting && this.#videos.every((video) => video.readyState >= 3)) this.#playAll();
  }
}

async function fetchClip(url) {
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin" });
  } catch {
    throw new ApiError(0, "The clip could not be fetched: the server cannot be reached.");
  }
  if (!response.ok) throw new ApiError(response.status, `The clip could not be fetched (${response.status}).`);
  if (Number(response.headers.get("Content-Length")) > MAX_BLOB_BYTES) {
    await response.body.cancel();
    return { source: url, release: () => undefined };
  }
  const source = URL.createObjectURL(await response.blob());
  return { source, release: () => URL.revokeObjectURL(source) };
}

function rewind(video) {
  if (video.currentTime === 0) return undefined;
  return new Promise((resolve) => {
    video.addEventListener("seeked", resolve, { once: true });
    video.currentTime = 0;
  });
}
