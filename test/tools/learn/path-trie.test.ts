import { describe, expect, it } from '@jest/globals';
import type { LearntCall } from '../../../src/tools/learn/learnt-call.ts';
import { PathTrie } from '../../../src/tools/learn/seen/path-trie.ts';
import { NO_SHAPE } from '../../../src/tools/learn/read-shape.ts';
import { NODE_BYTES, Room } from '../../../src/tools/learn/seen/room.ts';

const callOf = (path: string, agent = 'spiffe://acme.test/a'): LearntCall => ({
  agent,
  at: 1,
  task: null,
  host: 'a.test',
  method: 'GET',
  path,
  shape: NO_SHAPE,
  action: null,
  would: 'action.unknown',
  policySet: null,
});

const shown = (trie: PathTrie): readonly string[] =>
  trie
    .routes()
    .map(({ template, isUnknown, isGuess }) => `${template}${isUnknown ? ' ?' : ''}${isGuess ? ' guessed' : ''}`);

const routesOf = (paths: readonly string[]): readonly string[] => {
  const trie = new PathTrie(new Room());
  for (const path of paths) trie.add(callOf(path));
  return shown(trie);
};

const many = (count: number, of: (n: number) => string): readonly string[] =>
  Array.from({ length: count }, (_, n) => of(n));

const letters = (n: number): string => [n % 16, Math.floor(n / 16)].map((at) => 'abcdefghijklmnop'.charAt(at)).join('');

const timed = <Result>(run: () => Result): readonly [Result, number] => {
  const beganMs = performance.now();
  return [run(), performance.now() - beganMs];
};

describe('PathTrie', () => {
  it.each([
    ['an integer', ['/orders/7', '/orders/12'], ['/orders/{order:int}']],
    ['digits with leading zeros', ['/orders/0071', '/orders/007'], ['/orders/{order:[0-9]{3,4}}']],
    ['a UUID', ['/t/0199a3bf-1c2d-7e3f-8a4b-5c6d7e8f9a0b'], ['/t/{id:uuid}']],
    [
      'a UUID in upper case',
      ['/tasks/0199A3BF-1C2D-7E3F-8A4B-5C6D7E8F9A0B'],
      ['/tasks/{task:[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}}'],
    ],
    ['a date', ['/days/2026-11-30'], ['/days/{day:[0-9]{4}-[0-9]{2}-[0-9]{2}}']],
    ['hex, with digits alone too', ['/blobs/00af31c2', '/blobs/12345678'], ['/blobs/{blob:[0-9a-f]{8}}']],
    ['a word, a version', ['/v1/orders', '/v2/orders'], ['/v1/orders', '/v2/orders']],
    ['two parameters after equal text', ['/a/1/a/2'], ['/a/{id:int}/a/{id-2:int}']],
    ['a slash at the end', ['/orders/'], ['/orders/']],
    ['text that no template can have', ['/files/a%20b'], ['/files/{file:text} ?']],
    ['a single slug', ['/c/acme-1', '/c/acme-1'], ['/c/acme-1']],
    [
      'two slugs that end in a number, as a guess',
      ['/c/acme-1/x', '/c/acme-2/x'],
      ['/c/{id:[a-z0-9-]{1,64}}/x guessed'],
    ],
    ['two such slugs, each seen often', many(6, (n) => `/c/acme-${n % 2}`), ['/c/acme-0', '/c/acme-1']],
    ['two words without a number', ['/c/acme-a', '/c/acme-b'], ['/c/acme-a', '/c/acme-b']],
    ['many slugs, each seldom', many(40, (n) => `/c/acme-${n}/x`), ['/c/{id:[a-z0-9-]{1,64}}/x']],
    ['twelve slugs, each once', many(12, (n) => `/c/acme-${n}`), ['/c/{id:[a-z0-9-]{1,64}}']],
    [
      'many plain words, which may be names of collections',
      many(300, (n) => `/c/${'abcdefghij'.repeat(2).slice(n % 10, (n % 10) + 4)}${'x'.repeat(Math.floor(n / 10))}y`),
      ['/c/{id:text} ?'],
    ],
  ])('reads %s', (_name, paths, templates) => {
    expect(routesOf(paths)).toEqual(templates);
  });

  it('keeps names of collections apart, which are seen again and again', () => {
    const names = many(30, (n) => `/v1/collection-${'abcdefghijklmnopqrstuvwxyz0123'.charAt(n)}x`);
    expect(routesOf([...names, ...names, ...names, ...names])).toHaveLength(30);
  });

  it('leaves more names of collections than it holds apart to a person, if they are seen again and again', () => {
    const names = many(40, (n) => `/rest/v1/table_${'abcdefghij'.charAt(n % 10)}${'wxyz'.charAt(Math.floor(n / 10))}`);
    expect(routesOf(names)).toEqual(['/rest/v1/{v1:[a-z0-9_-]{1,64}}']);
    const templates = routesOf([...names, ...names, ...names, ...names]);
    expect(templates.filter((template) => template.includes('{'))).toEqual(['/rest/v1/{v1:[a-z0-9_-]{1,64}} guessed']);
  });

  it('takes no more than there is room for, and of each agent a tenth of it', () => {
    const room = new Room(1_000 * NODE_BYTES);
    const trie = new PathTrie(room);
    const added = (agent: string) =>
      many(500, (n) => `/${'x'.repeat(n % 50)}a/${'y'.repeat(Math.floor(n / 50))}b`).filter((path) =>
        trie.add(callOf(`${path}/${agent}`, agent)),
      ).length;
    const first = added('spiffe://acme.test/flood');
    expect(first).toBeLessThan(40);
    expect(added('spiffe://acme.test/other')).toBeGreaterThan(10);
  });

  // Issue 41: no policy that widens.
  it('makes no parameter of what an agent calls by what another calls', () => {
    const trie = new PathTrie(new Room());
    for (const path of ['/orders/7', '/orders/8', '/orders/9', '/payments/7', '/admin/users'])
      for (let n = 0; n < 5; n += 1) trie.add(callOf(path, 'spiffe://acme.test/honest'));
    for (const path of many(300, (n) => `/random-${n}/7`)) trie.add(callOf(path, 'spiffe://acme.test/astray'));
    for (const path of many(40, (n) => `/orders/x-${n}`)) trie.add(callOf(path, 'spiffe://acme.test/astray'));
    for (const path of ['/tickets/7', '/notes/7']) trie.add(callOf(path, 'spiffe://acme.test/honest'));
    const of = (agent: string) =>
      trie
        .routes()
        .filter(({ calls }) => calls.agents.has(`spiffe://acme.test/${agent}`))
        .map(({ template }) => template);
    expect(of('honest')).toEqual([
      '/admin/users',
      '/notes/{note:int}',
      '/orders/{order:int}',
      '/payments/{payment:int}',
      '/tickets/{ticket:int}',
    ]);
    expect(of('astray')).toEqual(['/orders/{order:[a-z0-9-]{1,64}}', '/{id:[a-z0-9-]{1,64}}/{id-2:int}']);
  });

  it('reads a full node with a large subtree seldom, however many calls find no room there', () => {
    const trie = new PathTrie(new Room(1_024 * 1_024 * 1_024));
    const depth = many(16, (n) => letters(n)).join('/');
    // Each word is seen too often to vary.
    const [, madeMs] = timed(() => {
      for (const path of many(256, (n) => `/w${letters(n)}/${depth}`))
        for (let n = 0; n < 3; n += 1) trie.add(callOf(path));
    });
    const [added, refusedMs] = timed(() =>
      many(50_000, (n) => `/made-up-${n}`).filter((path) => trie.add(callOf(path))),
    );
    expect(added).toEqual([]);
    // Reading the subtree each time took 500 times as long.
    expect(refusedMs).toBeLessThan(100 * madeMs);
    expect(shown(trie)).toHaveLength(256);
  });

  it('guesses no parameter from words of two agents that call one word each', () => {
    const trie = new PathTrie(new Room());
    trie.add(callOf('/c/acme-1', 'spiffe://acme.test/one'));
    trie.add(callOf('/c/acme-2', 'spiffe://acme.test/two'));
    expect(shown(trie)).toEqual(['/c/acme-1', '/c/acme-2']);
  });

  it('takes words of a second agent that varies them too as values', () => {
    const trie = new PathTrie(new Room());
    for (const path of many(40, (n) => `/c/acme-${n}`)) trie.add(callOf(path, 'spiffe://acme.test/one'));
    for (const path of many(5, (n) => `/c/beta-${n}`)) trie.add(callOf(path, 'spiffe://acme.test/two'));
    for (const path of many(3, () => '/c/export')) trie.add(callOf(path, 'spiffe://acme.test/three'));
    expect(shown(trie)).toEqual(['/c/export', '/c/{id:[a-z0-9-]{1,64}}']);
  });
});
