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

/** What an answer becomes, in chunks as given. */
const passed = async (
  chunks: readonly (string | Buffer)[],
  of: 'call' | 'stream' = 'call',
  asked = listed,
): Promise<string> => {
  const unreadable = of === 'call' ? (): string => '"unreadable"' : null;
  const source = Readable.from(chunks.map((chunk) => Buffer.from(chunk)));
  return (await bytesOf(source.pipe(new EventLists({ listed: asked, unreadable })))).toString();
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
    const stage = new EventLists({ listed, unreadable: null });
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
    expect(await passed([text], 'stream')).toBe('data: [DONE]\n\n');
  });

  it('drops a longer event than it holds from the answer to a request, and passes it in the stream of a client', async () => {
    const long = `data: "${'x'.repeat(MAX_LIST_BYTES)}"\n\n`;
    const [answer, stream] = [await passed([long, 'data: {}\n\n']), await passed([long, 'data: {}\n\n'], 'stream')];
    expect(answer).toBe('data: "unreadable"\n\ndata: {}\n\n');
    expect(stream === `${long}data: {}\n\n`).toBe(true);
  });

  it('hides nothing if the tools of the task are not known', async () => {
    const text = `data: ${list('a', 'b')}\r\n\r\n`;
    expect(await passed([text], 'call', async () => null)).toBe(text);
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

  it('answers nothing with nothing', async () => {
    expect(await whole([])).toBe('');
  });
});
