import { writeFileSync } from 'node:fs';
import { startChromium } from '../e2e/chromium.ts';
import { until } from '../until.ts';

// A picture of a page that only the cluster can reach: `picture.ts CHROMIUM URL WORD FILE`, run in it, once the page shows the word.
const [chromium = '', url = '', word = '', file = ''] = process.argv.slice(2);
const page = await startChromium(chromium);
try {
  await page.open(url);
  await until(async () => String(await page.evaluate('document.body?.innerText')).includes(word), { what: word });
  writeFileSync(file, await page.screenshot());
} finally {
  await page.close();
}
