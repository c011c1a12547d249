// Which digit does an image show? `node jimp_superagent.js IMAGE [URL]`, with jimp 0.22 and superagent.
const Jimp = require('jimp');
const superagent = require('superagent');

const url = process.argv[3] || 'http://localhost:8501/v1/models/MLP:predict';

async function main() {
  const image = await Jimp.read(process.argv[2]);
  image.resize(28, 28).greyscale();
  const pixels = [];
  for (let y = 0; y < 28; y++) {
    const row = [];
    for (let x = 0; x < 28; x++) {
      row.push(Jimp.intToRGBA(image.getPixelColor(x, y)).r / 255);
    }
    pixels.push(row);
  }
  const response = await superagent.post(url).send({ instances: [pixels] });
  const scores = response.body.predictions[0];
  console.log(scores.indexOf(Math.max(...scores)));
}

main().catch(error => {
  console.error(error.response ? error.response.text : error);
  process.exit(1);
});
