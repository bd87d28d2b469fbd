// Masks as COCO's compressed runs: down the columns, beginning with background; groups of 5 bits plus 48, the lowest
// first, and each run from the third on as the difference to the run two before it.

/** The ends of the runs: pixels from `ends[2 i]` to before `ends[2 i + 1]` are of the mask. */
function runEnds(text) {
  const lengths = [];
  for (let at = 0; at < text.length;) {
    let value = 0, shift = 0, group;
    do {
      group = text.charCodeAt(at++) - 48;
      value |= (group & 31) << shift;
      shift += 5;
    } while (group & 32);
    if (group & 16) value |= -1 << shift;
    lengths.push(lengths.length > 2 ? value + lengths[lengths.length - 2] : value);
  }
  let end = 0;
  return Uint32Array.from(lengths, (length) => (end += length));
}

/** Whether a mask has a pixel, given by its place down the columns. */
function hasPixel(ends, place) {
  let low = 0, high = ends.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle] > place) high = middle;
    else low = middle + 1;
  }
  return (low & 1) === 1;
}

/** Write a value wherever a mask is; `target` has the rows of the image one after another. */
function fillMask(ends, height, width, target, value) {
  for (let run = 0; run + 1 < ends.length; run += 2) {
    let column = Math.floor(ends[run] / height), row = ends[run] - column * height;
    for (let place = ends[run]; place < ends[run + 1]; place++) {
      target[row * width + column] = value;
      if (++row === height) {
        row = 0;
        column++;
      }
    }
  }
}

/** [left, top, right, bottom] of a mask in pixels, the last two exclusive; null if it has none. */
function bounds(ends, height) {
  let left = Infinity, right = -1, top = height, bottom = -1;
  for (let run = 0; run + 1 < ends.length; run += 2) {
    if (ends[run] === ends[run + 1]) continue;
    const last = ends[run + 1] - 1;
    const first = Math.floor(ends[run] / height), final = Math.floor(last / height);
    left = Math.min(left, first);
    right = Math.max(right, final);
    top = Math.min(top, first === final ? ends[run] % height : 0);
    bottom = Math.max(bottom, first === final ? last % height : height - 1);
  }
  return right < 0 ? null : [left, top, right + 1, bottom + 1];
}
