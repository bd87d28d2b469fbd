// The image with its masks, on one canvas. Masks are painted in the size in which they came, lines in that of the
// screen.

const TINT = 96, EDGE = 235;  // of 255: how much of its color a mask has inside, and at its edge
const DIM = "rgb(6 8 12 / 50%)", GROUND = "#404448";
const RING = 1.75, CASING = 3, LINE = 1.25;  // in CSS pixels

function makeCanvas(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

/** Red, green and blue of a color such as `#27a8ff`, as one number. */
const parseColor = (color) => parseInt(color.slice(1), 16);

class Drawing {
  /** `canvas`: what is seen; its size follows the room that the page gives it. */
  constructor(canvas) {
    this.canvas = canvas;
    this.record = this.lit = null;
    this.masks = [];
    this.show = {};
    this.waiting = 0;
    new ResizeObserver(() => this.fit()).observe(canvas);
  }

  /** Another record; `base` are its decoded images, `{ image, map }`, of which each may be null. */
  setRecord(record, base) {
    this.record = record;
    this.base = base;
    this.lit = null;
    const [height, width] = record.shown;
    this.tint = makeCanvas(width, height);
    this.shape = makeCanvas(width, height);
    this.canvas.style.setProperty("--ratio", width / height);
    this.fit();
  }

  /** The masks that are seen, the largest first, and what is shown: `{ masks, boxes, points, map }`. */
  setMasks(masks, show) {
    this.masks = masks;
    this.show = show;
    if (show.masks && !show.map) this.paintTint();
    this.request();
  }

  /** Light one mask, or none. */
  light(mask) {
    if (mask === this.lit) return;
    this.lit = mask;
    if (mask) this.paintShape(mask);
    this.request();
  }

  /** The masks under a point of the window, the smallest first. */
  under(x, y) {
    const area = this.canvas.getBoundingClientRect();
    const [height, width] = this.record.shown;
    const column = Math.floor((x - area.left) / area.width * width);
    const row = Math.floor((y - area.top) / area.height * height);
    if (column < 0 || row < 0 || column >= width || row >= height) return [];
    return this.masks.filter((mask) => hasPixel(mask.ends, column * height + row)).reverse();
  }

  fit() {
    const density = Math.min(window.devicePixelRatio || 1, 2.5);
    const width = Math.max(1, Math.round(this.canvas.clientWidth * density));
    const height = Math.max(1, Math.round(this.canvas.clientHeight * density));
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    this.density = density;
    this.draw();
  }

  request() {
    this.waiting ||= requestAnimationFrame(() => {
      this.waiting = 0;
      this.draw();
    });
  }

  /** Each pixel gets the color of the smallest mask that has it, and more of it where another one is beside it. */
  paintTint() {
    const [height, width] = this.record.shown;
    const labels = new Int32Array(height * width);
    this.masks.forEach((mask, place) => fillMask(mask.ends, height, width, labels, place + 1));
    const colors = [0, ...this.masks.map((mask) => parseColor(mask.hue))];
    const image = new ImageData(width, height), bytes = image.data;
    for (let row = 0, at = 0; row < height; row++) {
      for (let column = 0; column < width; column++, at++) {
        const label = labels[at];
        if (!label) continue;
        const edge = (column > 0 && labels[at - 1] !== label) || (column + 1 < width && labels[at + 1] !== label)
          || (row > 0 && labels[at - width] !== label) || (row + 1 < height && labels[at + width] !== label);
        const color = colors[label], byte = 4 * at;
        bytes[byte] = color >> 16;
        bytes[byte + 1] = (color >> 8) & 255;
        bytes[byte + 2] = color & 255;
        bytes[byte + 3] = edge ? EDGE : TINT;
      }
    }
    this.tint.getContext("2d").putImageData(image, 0, 0);
  }

  paintShape(mask) {
    const [height, width] = this.record.shown;
    const image = new ImageData(width, height);
    fillMask(mask.ends, height, width, new Uint32Array(image.data.buffer), 0xffffffff);
    this.shape.getContext("2d").putImageData(image, 0, 0);
  }

  draw() {
    if (!this.record) return;
    const { width, height } = this.canvas, pen = this.canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.imageSmoothingEnabled = width < 3 * this.record.shown[1];  // pixels of small images stay squares
    pen.imageSmoothingQuality = "high";
    this.drawBase(pen);
    if (this.show.masks && !this.show.map) pen.drawImage(this.tint, 0, 0, width, height);
    const others = this.masks.filter((mask) => mask !== this.lit);
    if (this.show.boxes) for (const mask of others) this.drawBox(pen, mask, mask.hue, LINE);
    if (this.show.points) for (const mask of others) this.drawPoints(pen, mask);
    if (this.lit) this.drawLit(pen);
  }

  drawBase(pen) {
    const { width, height } = this.canvas, base = this.show.map ? this.base.map : this.base.image;
    pen.fillStyle = GROUND;
    pen.fillRect(0, 0, width, height);
    if (base) pen.drawImage(base, 0, 0, width, height);
  }

  /** The lit mask as the image has it, in a white ring, and the rest darker. */
  drawLit(pen) {
    const { width, height } = this.canvas;
    pen.fillStyle = DIM;
    pen.fillRect(0, 0, width, height);
    this.drawRing(pen, "#000000", CASING);
    this.drawRing(pen, "#ffffff", RING);
    const inside = this.stencil(pen);
    this.drawBase(inside);
    pen.drawImage(inside.canvas, 0, 0);
    if (this.show.boxes) {
      this.drawBox(pen, this.lit, "rgb(0 0 0 / 60%)", 3 * LINE);
      this.drawBox(pen, this.lit, this.lit.hue, 1.4 * LINE);
    }
    if (this.show.points) this.drawPoints(pen, this.lit);
    if (this.lit.category) this.drawLabel(pen, this.lit.category);
  }

  /** A canvas in the size of the screen that takes paint where the lit mask is. */
  stencil(pen) {
    const { width, height } = this.canvas;
    const inside = makeCanvas(width, height).getContext("2d");
    inside.imageSmoothingEnabled = pen.imageSmoothingEnabled;
    inside.drawImage(this.shape, 0, 0, width, height);
    inside.globalCompositeOperation = "source-atop";
    return inside;
  }

  drawRing(pen, color, reach) {
    const { width, height } = this.canvas, wide = reach * this.density;
    const inside = this.stencil(pen);
    inside.fillStyle = color;
    inside.fillRect(0, 0, width, height);
    for (let turn = 0; turn < 16; turn++) {
      const angle = turn * Math.PI / 8;
      pen.drawImage(inside.canvas, wide * Math.cos(angle), wide * Math.sin(angle));
    }
  }

  /** Where a mask's box is on the canvas: [left, top, right, bottom]. */
  boxOf(mask) {
    const [height, width] = this.record.shown, [fullHeight, fullWidth] = this.record.size;
    const x = this.canvas.width / fullWidth, y = this.canvas.height / fullHeight;
    if (mask.box && mask.box.every(Number.isFinite)) {
      const more = this.record.inclusive ? 1 : 0;  // pixel: the last column and row are of the box
      const [left, top, wide, tall] = mask.box;
      return [left * x, top * y, (left + wide + more) * x, (top + tall + more) * y];
    }
    const found = mask.bounds;
    const [across, down] = [this.canvas.width / width, this.canvas.height / height];
    return found && found.map((side, axis) => side * (axis % 2 ? down : across));
  }

  drawBox(pen, mask, color, line) {
    const box = this.boxOf(mask);
    if (!box) return;
    pen.strokeStyle = color;
    pen.lineWidth = line * this.density;
    pen.strokeRect(box[0], box[1], Math.max(1, box[2] - box[0]), Math.max(1, box[3] - box[1]));
  }

  drawPoints(pen, mask) {
    const [height, width] = this.record.size;
    for (const point of mask.points ?? []) {
      if (!point.every(Number.isFinite)) continue;
      pen.beginPath();
      pen.arc(point[0] / width * this.canvas.width, point[1] / height * this.canvas.height, 3.2 * this.density, 0, 7);
      pen.fillStyle = mask.hue;
      pen.fill();
      pen.strokeStyle = "#ffffff";
      pen.lineWidth = 1.4 * this.density;
      pen.stroke();
    }
  }

  /** The category of the lit mask, above it where there is room. */
  drawLabel(pen, text) {
    const box = this.boxOf(this.lit), size = 13 * this.density;
    if (!box) return;
    pen.font = `600 ${size}px system-ui, sans-serif`;
    const label = text.length > 40 ? `${text.slice(0, 39)}…` : text;
    const wide = pen.measureText(label).width + size, tall = 1.6 * size;
    const left = Math.max(0, Math.min(box[0], this.canvas.width - wide));
    const top = Math.max(0, box[1] - tall - 4 * this.density);
    pen.fillStyle = "rgb(6 8 12 / 85%)";
    pen.beginPath();
    pen.roundRect(left, top, wide, tall, size / 3);
    pen.fill();
    pen.fillStyle = "#ffffff";
    pen.textBaseline = "middle";
    pen.fillText(label, left + size / 2, top + tall / 2);
  }
}
