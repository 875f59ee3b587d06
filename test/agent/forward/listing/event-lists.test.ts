import { Readable } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { EventLists } from '../../../../src/agent/forward/listing/event-lists.ts';
import { MAX_LIST_BYTES, WholeList } from '../../../../src/agent/forward/listing/whole-list.ts';
import type { ListedTools } from '../../../../src/agent/task/listed-tools.ts';
import { bytesOf } from '../upstream.ts';

const tools: ListedTools = { shown: new Map([['a', { limits: null }]]), hidden: null };
const listed = async (): Promise<ListedTools | null> => tools;
const list = (...names: readonly string[]): string =>
  JSON.stringify({ jsonrpc: '2.0', id: 1, result: { tools: names.map((name) => ({ name, inputSchema: {} })) } });

type Of = 'list' | 'other';

/** What an answer becomes, in chunks as given. */
const passed = async (chunks: readonly (string | Buffer)[], of: Of = 'list', asked = listed): Promise<string> => {
  const unreadable = (): string => (of === 'list' ? 'data: "unreadable"\n\n' : '');
  const source = Readable.from(chunks.map((chunk) => Buffer.from(chunk)));
  const stage = new EventLists({ listed: asked, isAsked: of === 'list', unreadable });
  return (await bytesOf(source.pipe(stage))).toString();
};

describe('EventLists', () => {
  it.each([
    ['LF', '\n'],
    ['CRLF', '\r\n'],
    ['CR', '\r'],
  ])('shows the tools of the task alone, in a stream with %s', async (_name, end) => {
    const event = ['event: message', 'id: 5', `data: ${list('a', 'b')}`, '', ''].join(end);
    const before = [': hello', '', 'data: {"jsonrpc":"2.0","method":"notifications/message"}', '', ''].join(end);
    expect(await passed([before, event])).toBe(`${before}event: message\nid: 5\ndata: ${list('a')}\n\n`);
  });

  it('joins the lines of an event', async () => {
    const [start, rest] = [list('a', 'b').slice(0, 20), list('a', 'b').slice(20)];
    // A line break is white space of JSON between tokens alone.
    const text = `data: ${start.replace('"id"', '\ndata:"id"')}${rest}\n\n`;
    expect(await passed([text])).toBe(`data: ${list('a')}\n\n`);
  });

  it('gives the same for any chunks', async () => {
    const text = `: x\r\n\r\nid: 1\r\ndata: ${list('b', 'a')}\r\n\r\ndata: {"tools":1}\n\nevent: ping\rdata: \r\rdata: ${list('b')}\n\nrest: tools`;
    const whole = await passed([text]);
    expect(whole).toBe(
      `: x\r\n\r\nid: 1\ndata: ${list('a')}\n\ndata: {"tools":1}\n\nevent: ping\rdata: \r\rdata: ${list()}\n\nrest: tools`,
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: text.length })), async (cuts) => {
        const places = [0, ...cuts.toSorted((one, other) => one - other), text.length];
        const chunks = places.slice(1).map((to, at) => text.slice(places[at], to));
        const parts = await passed(chunks.filter((chunk) => chunk !== ''));
        // Between CR and LF an event passes at once, so that a blank line more may follow.
        expect(parts.replaceAll(/\n{3,}/g, '\n\n')).toBe(whole);
      }),
      { numRuns: 50 },
    );
  });

  it('passes each event as soon as it is whole', async () => {
    const stage = new EventLists({ listed, isAsked: false, unreadable: () => '' });
    stage.write('data: {}\n\ndata: {');
    const [first] = (await stage[Symbol.asyncIterator]().next()).value.toString().split('|');
    expect(first).toBe('data: {}\n\n');
    stage.destroy();
  });

  it('reads names of members that are written with escapes', async () => {
    const escaped = list('b').replace('"tools"', String.raw`"\u0074ools"`);
    expect(await passed([`data: ${escaped}\n\n`])).toBe(`data: ${list()}\n\n`);
  });

  it('writes anew what it read, so that a list cannot be hidden behind a member of the same name', async () => {
    const twice = `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"b"}],"tools":[{"name":"a"}]}}`;
    expect(await passed([`data: ${twice}\n\n`])).toBe(
      `data: {"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}]}}\n\n`,
    );
  });

  it('passes no event that may be a list and cannot be read: some parsers read more than JSON', async () => {
    const text = `data: ${list('b').replace('"id":1', '"id":NaN')}\n\ndata: [DONE]\n\n`;
    expect(await passed([text])).toBe('data: "unreadable"\n\ndata: [DONE]\n\n');
    expect(await passed([text], 'other')).toBe('data: [DONE]\n\n');
  });

  it('drops a longer event than it holds from the answer to a request for a list, and passes another', async () => {
    const long = `data: "${'x'.repeat(MAX_LIST_BYTES)}"\n\n`;
    const [answer, other] = [await passed([long, 'data: {}\n\n']), await passed([long, 'data: {}\n\n'], 'other')];
    expect(answer).toBe('data: "unreadable"\n\ndata: {}\n\n');
    expect(other === `${long}data: {}\n\n`).toBe(true);
  });

  it('drops a longer event than it holds if its start names tools', async () => {
    const long = `data: ${list('b')}${' '.repeat(MAX_LIST_BYTES)}\n\n`;
    expect(await passed([long, 'data: {}\n\n'], 'other')).toBe('data: {}\n\n');
    expect((await passed([long], 'other', async () => null)) === long).toBe(true);
  });

  it('ends before the part of a longer event that names tools, also if chunks cut the name', async () => {
    const [start, end] = ['data: {"pad":"', `","result":{"tools":[]}}\n\n`];
    const pad = 'x'.repeat(MAX_LIST_BYTES);
    const cut = end.indexOf('ols"');
    const chunks = [start + pad, end.slice(0, cut), end.slice(cut)];
    await expect(passed(chunks, 'other')).rejects.toThrow('may have a list');
    expect((await passed(chunks, 'other', async () => null)) === chunks.join('')).toBe(true);
  });

  it.each([
    ['a byte order mark', `\uFEFFdata: ${list('b')}\n\n`, `data: ${list()}\n\n`],
    ['a byte order mark before other data', '\uFEFFdata: {}\n\n', 'data: {}\n\n'],
    ['a byte order mark alone', '\uFEFF\ndata: {}\n\n', '\ndata: {}\n\n'],
    ['no line of data', `: x\u2028data: ${list('b')}\n\ndata: {}\n\n`, 'data: {}\n\n'],
    ['no line of data, and an escape', `: x\u2028data: ${list('b').replace('tools', '\\u0074ools')}\n\n`, ''],
    ['a list in a comment', `: x\u2028data: ${list('b')}\nid: 7\ndata: {"x":1}\n\n`, 'id: 7\ndata: {"x":1}\n\n'],
    ['a list in a name', `event: x\u0085data: ${list('b')}\ndata: {}\n\n`, 'data: {}\n\n'],
    ['other line ends in data', `data: {"tools":"x\u2028y\uFEFF"}\n\n`, 'data: {"tools":"x\\u2028y\\ufeff"}\n\n'],
    ['a member twice', 'data: {"result":{"tools":[{"name":"b"}]},"result":1}\n\n', 'data: {"result":1}\n\n'],
  ])('hides no list behind %s', async (_name, text, expected) => {
    expect(await passed([text], 'other')).toBe(expected);
  });

  it('keeps the name, the id and the retry time alone of an event with a list', async () => {
    const event = `event: message\nid: 5\nretry: 9\nid: \u00E9\n: hidden\nother: x\ndata: ${list('b')}\n\n`;
    expect(await passed([event])).toBe(`event: message\nid: 5\nretry: 9\ndata: ${list()}\n\n`);
  });

  it('leaves an event with tools that is no list as it is', async () => {
    const event = `: x\r\nid: 1\r\ndata: {"result": {"structuredContent": {"tools": [1.0]}}}\r\n\r\n`;
    expect(await passed([event], 'other')).toBe(event);
  });

  it('hides nothing if the tools of the task are not known', async () => {
    const text = `data: ${list('a', 'b')}\r\n\r\n`;
    expect(await passed([text], 'list', async () => null)).toBe(text);
  });
});

const whole = async (chunks: readonly (string | Buffer)[], asked = listed): Promise<string> =>
  (
    await bytesOf(
      Readable.from(chunks.map((chunk) => Buffer.from(chunk))).pipe(
        new WholeList({ listed: asked, unreadable: () => '"unreadable"' }),
      ),
    )
  ).toString();

describe('WholeList', () => {
  it('shows the tools of the task alone', async () => {
    expect(await whole([list('b', 'a').slice(0, 30), list('b', 'a').slice(30)])).toBe(list('a'));
  });

  it.each([
    ['what is no JSON', ['{"jsonrpc":"2.0","id":1,"result":{"tools":[NaN]}}']],
    ['what is too long', [Buffer.alloc(MAX_LIST_BYTES, ' '), list('a')]],
  ])('does not pass on %s', async (_name, chunks) => {
    expect(await whole(chunks)).toBe('"unreadable"');
  });

  it('passes every byte if the tools of the task are not known', async () => {
    expect(await whole([`  ${list('a', 'b')}\n`], async () => null)).toBe(`  ${list('a', 'b')}\n`);
    expect(await whole(['not JSON'], async () => null)).toBe('not JSON');
  });

  it('reads a list behind a byte order mark', async () => {
    expect(await whole([`\uFEFF${list('b', 'a')}`])).toBe(list('a'));
  });

  it('answers nothing with nothing', async () => {
    expect(await whole([])).toBe('');
  });
});
