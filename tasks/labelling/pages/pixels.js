// Pixels as the service sends them, and how they are drawn.

const SOFTENING = 2; // standard deviations, of the arcsinh
const FAINTEST = -2;
const BRIGHTEST = 8;
const MISSING = [96, 24, 24];

/** Read an answer of /pixels: {height, width, planes}, where a plane is {values} or, of 8-bit colour, {rgb}. */
export async function readPixels(response) {
  const [height, width, channels] = response.headers.get("X-Shape").split(",").map(Number);
  const buffer = await response.arrayBuffer();
  if (response.headers.get("X-Dtype") === "uint8") {
    return { height, width, planes: [{ rgb: new Uint8Array(buffer), channels }] };
  }
  const all = new Float32Array(buffer);
  const planes = [];
  for (let channel = 0; channel < channels; channel++) {
    const values = new Float32Array(height * width);
    for (let pixel = 0; pixel < values.length; pixel++) values[pixel] = all[pixel * channels + channel];
    planes.push({ values, ...scaleOf(values) });
  }
  return { height, width, planes };
}

/** Background, robust scatter, and faintest and brightest pixel in standard deviations. */
function scaleOf(values) {
  const finite = values.filter(Number.isFinite).sort();
  if (!finite.length) return { middle: 0, scatter: 1, low: FAINTEST, high: BRIGHTEST };
  const middle = median(finite);
  const scatter = 1.4826 * median(finite.map((value) => Math.abs(value - middle)).sort()) || 1;
  const high = Math.max(BRIGHTEST, (finite[finite.length - 1] - middle) / scatter);
  return { middle, scatter, low: FAINTEST, high };
}

function median(sorted) {
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Draw a plane on a canvas; look = {stretch, black, white (0 to 1, after the stretch), zoom, invert}. */
export function drawPlane(canvas, picture, plane, look) {
  const { height, width } = picture;
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < height * width; pixel++) {
    image.data.set(plane.rgb ? colour(plane, pixel, look) : grey(plane, pixel, look), 4 * pixel);
    image.data[4 * pixel + 3] = 255;
  }
  const whole = new OffscreenCanvas(width, height);
  whole.getContext("2d").putImageData(image, 0, 0);
  const pen = canvas.getContext("2d");
  pen.imageSmoothingEnabled = Boolean(plane.rgb); // a galaxy is seen better without steps, a stamp has few pixels
  pen.imageSmoothingQuality = "high";
  const wide = width / look.zoom;
  const high = height / look.zoom;
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(whole, (width - wide) / 2, (height - high) / 2, wide, high, 0, 0, canvas.width, canvas.height);
}

function grey(plane, pixel, look) {
  const value = plane.values[pixel];
  if (!Number.isFinite(value)) return MISSING;
  const sigmas = (value - plane.middle) / plane.scatter;
  let share;
  if (look.stretch === "asinh") {
    const [low, here, high] = [plane.low, sigmas, plane.high].map((each) => Math.asinh(each / SOFTENING));
    share = (here - low) / (high - low);
  } else {
    share = stretched((sigmas - plane.low) / (plane.high - plane.low), look.stretch);
  }
  const shade = cut(share, look);
  return [shade, shade, shade];
}

function colour(plane, pixel, look) {
  const at = (channel) => plane.rgb[pixel * plane.channels + Math.min(channel, plane.channels - 1)];
  return [0, 1, 2].map((channel) => cut(stretched(at(channel) / 255, look.stretch), look));
}

function stretched(share, stretch) {
  const clipped = Math.max(0, share);
  if (stretch === "asinh") return Math.asinh(10 * clipped) / Math.asinh(10);
  if (stretch === "sqrt") return Math.sqrt(clipped);
  if (stretch === "log") return Math.log1p(1000 * clipped) / Math.log1p(1000);
  return clipped;
}

function cut(share, look) {
  const within = Math.min(1, Math.max(0, (share - look.black) / Math.max(look.white - look.black, 0.01)));
  return Math.round(255 * (look.invert ? 1 - within : within));
}
