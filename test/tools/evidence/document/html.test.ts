import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { htmlFrom } from '../../../../src/tools/evidence/document/html.ts';
import { documentOf } from '../../../../src/tools/evidence/document/report-document.ts';
import type { EvidenceReport } from '../../../../src/tools/evidence/report.ts';
import { type Page, startChromium } from '../../../e2e/chromium.ts';
import { chromiumPart, describeWith } from '../../../parts.ts';
import { until } from '../../../until.ts';
import { controlWith, reportWith } from '../report-with.ts';

jest.setTimeout(120_000);

const htmlOf = (change: Partial<EvidenceReport> = {}): string => htmlFrom(documentOf(reportWith(change)));
const HOSTILE = '"><script>document.title="hacked"</script><img src="/stolen" onerror="document.title=\'hacked\'">';
const hostile = (): Partial<EvidenceReport> => ({
  madeBy: HOSTILE,
  agents: [{ name: `${HOSTILE} </td></tr></table>`, count: 1, first: null, last: null }],
  controls: [controlWith({ id: HOSTILE, limit: `<style>@import "/stolen";</style>` })],
  policySets: [
    {
      hash: 'sha-256:x',
      decisions: 1,
      isInForce: true,
      loads: [],
      text: 'kept',
      files: [{ name: HOSTILE, bytes: 9, text: `</pre>${HOSTILE}` }],
      judged: { problem: 'unknown' },
      idle: null,
      results: [],
    },
  ],
});

describe('htmlFrom', () => {
  it('has text of records as text, wherever it is', () => {
    const html = htmlOf(hostile());
    expect(html).not.toMatch(/<(script|img|link|iframe|object|embed|base|form)\b/i);
    expect(html.match(/<style>/g)).toHaveLength(1);
    // No attribute of ours has the text of a record.
    expect(html.replaceAll(/&(?:lt|gt|quot|amp|#39);/g, '')).not.toMatch(/<[^>]*\son\w+=/i);
    expect(html).toContain('&lt;script&gt;');
  });

  it('shows directions and other control characters of records as a mark', () => {
    const html = htmlOf({ agents: [{ name: 'a\u202eb\u0000c', count: 1, first: null, last: null }] });
    expect(html).toContain('<td>a?b?c</td>');
  });

  it('names nothing elsewhere', () => {
    expect(htmlOf()).not.toMatch(/\b(?:src|href)="(?!#part-\d+")/);
  });

  it('has the same facts as the report in Markdown: a chapter for each heading', () => {
    const blocks = documentOf(reportWith({ controls: [controlWith()] }));
    const headings = blocks.filter(({ kind }) => kind === 'heading').length;
    expect(htmlFrom(blocks).match(/<h[123] /g)).toHaveLength(headings);
  });
});

describeWith(chromiumPart(), 'a report in a browser', (chromium) => {
  const asked: string[] = [];
  let html = '';
  const server = createServer(({ url = '' }, response) => {
    asked.push(url);
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
    response.end(url === '/' ? html : '');
  });
  let page: Page;
  let address: string;
  beforeAll(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    page = await startChromium(chromium);
  });
  afterAll(async () => {
    await page?.close();
    server.closeAllConnections();
    server.close();
  });

  const shown = async (change: Partial<EvidenceReport>): Promise<void> => {
    html = htmlOf(change);
    asked.length = 0;
    await page.open(address);
    await until(async () => (await page.evaluate('document.readyState')) === 'complete' && asked.includes('/'));
    // A heading of ours: the page before is gone.
    await until(async () => Number(await page.evaluate('document.querySelectorAll("h2").length')) > 5);
  };

  it('asks for nothing and runs nothing, whatever records say', async () => {
    await shown(hostile());
    expect(await page.evaluate('document.title')).toBe('Evidence for CSF 2.0');
    expect(await page.evaluate('document.images.length + document.scripts.length')).toBe(0);
    expect(await page.evaluate('performance.getEntriesByType("resource").length')).toBe(0);
    expect(asked.filter((url) => url !== '/favicon.ico')).toEqual(['/']);
    // Its own style is admitted by its policy.
    expect(await page.evaluate('getComputedStyle(document.querySelector("table, p")).overflowWrap')).not.toBe('');
    expect(await page.evaluate('getComputedStyle(document.querySelector("p")).overflowWrap')).toBe('anywhere');
  });

  it('runs no script even if one were in it', async () => {
    html = htmlOf().replace('</body>', '<script>document.title = "ran"</script><img src="/stolen"></body>');
    asked.length = 0;
    await page.open(`${address}?again`.replace('?again', ''));
    await until(async () => asked.includes('/') && (await page.evaluate('document.images.length')) === 1);
    expect(await page.evaluate('document.title')).toBe('Evidence for CSF 2.0');
    expect(asked).not.toContain('/stolen');
  });

  it('prints on A4 without cutting long names, over several sheets', async () => {
    const agents = Array.from({ length: 50 }, (_, n) => ({
      name: `spiffe://acme.test/ns/${'long'.repeat(60)}/sa/agent-${n}`,
      count: n,
      first: '2026-01-01T00:00:00.000Z',
      last: '2026-01-01T00:00:00.000Z',
    }));
    const sample = Array.from({ length: 9 }, (_, n) => ({
      ref: n,
      at: '2026-01-01T00:00:00.000Z',
      classes: ['E3' as const],
      what: 'a call',
      proof: `c2sp.org/tlog-proof@v1\n${'A'.repeat(900)}\n`,
      why: null,
    }));
    await shown({ agents, sample, controls: [controlWith()] });
    // The room of A4 between the margins: 180 mm.
    await page.asPrinted(680);
    const wide =
      '[...document.body.querySelectorAll("*")].filter((one) => one.getBoundingClientRect().right > 681).length';
    expect(await page.evaluate(wide)).toBe(0);
    expect(await page.evaluate('getComputedStyle(document.querySelector("thead")).display')).toBe('table-header-group');
    const pdf = (await page.pdf()).toString('latin1');
    expect(pdf.slice(0, 5)).toBe('%PDF-');
    expect((pdf.match(/\/Type\s*\/Page\b(?!s)/g) ?? []).length).toBeGreaterThan(3);
    // 210 mm by 297 mm, in points.
    expect(pdf).toMatch(/\/MediaBox\s*\[0 0 (?:594|595)[\d.]* (?:841|842)[\d.]*\]/);
  });
});
