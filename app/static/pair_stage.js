// One pair on the page: its assignment, its two video elements and their clock. The next pair's stage is loaded
// while the present one is judged, so that showing it is only a change of class.

import { make } from "/ui/elements.js";
import { SyncedClips } from "/ui/synced_clips.js";

export class PairStage {
  shownAt = 0;
  draft = null; // Answers not yet sent, or the earlier ones after an undo.

  constructor(assignment, { onTick, onPress }) {
    this.assignment = assignment;
    const sides = [assignment.left, assignment.right];
    this.videos = sides.map((side, index) => {
      const video = make("video", {
        playsinline: true,
        preload: "auto",
        disablepictureinpicture: true,
        "aria-label": `Clip ${"AB"[index]}`,
        width: side.width_px,
        height: side.height_px,
      });
      video.muted = true;
      return video;
    });
    this.clips = new SyncedClips(this.videos, onTick);
    const card = (index) =>
      make(
        "figure",
        { class: `vp-clip vp-clip-${"ab"[index]}`, onclick: onPress },
        this.videos[index],
        make("figcaption", { "aria-hidden": "true" }, "AB"[index]),
      );
    this.element = make("div", { class: "vp-stage", hidden: true }, card(0), card(1));
    this.loaded = this.clips.load(sides);
    this.loaded.catch(() => undefined); // Whoever shows the stage awaits it and says what went wrong.
  }

  get id() {
    return this.assignment.assignment_id;
  }

  show(rate) {
    this.element.hidden = false;
    this.shownAt = performance.now();
    if (rate !== 1) this.clips.setRate(rate);
    return this.clips.play();
  }

  hide() {
    this.clips.pause();
    this.element.hidden = true;
  }

  remove() {
    this.clips.close();
    this.element.remove();
  }

  evidence() {
    return {
      ...this.clips.evidence(),
      answered_after_ms: Math.round(performance.now() - this.shownAt),
      viewport: { width: window.innerWidth, height: window.innerHeight },
      pixel_ratio: window.devicePixelRatio,
    };
  }
}
