// The same with nothing but Node.js: `node fetch.js IMAGE.pgm [URL]`, a binary PGM of 28x28 (8 bits).
const fs = require('fs');

const url = process.argv[3] || 'http://localhost:8501/v1/models/MLP:predict';

async function main() {
  const file = fs.readFileSync(process.argv[2]);
  const bytes = file.subarray(file.length - 28 * 28);
  const pixels = Array.from({ length: 28 }, (_, y) =>
    Array.from(bytes.subarray(y * 28, (y + 1) * 28), value => value / 255)
  );
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ instances: [pixels] })
  });
  const body = await response.json();
  if (!response.ok) {
    throw new Error(body.error);
  }
  const scores = body.predictions[0];
  console.log(scores.indexOf(Math.max(...scores)));
}

main().catch(error => {
  console.error(error);
  process.exit(1);
});
