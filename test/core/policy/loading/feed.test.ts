import { appendFileSync, cpSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { anyPath } from '../../../../src/core/config/writable-path.ts';
import { folderFeed, loadedAhead } from '../../../../src/core/policy/loading/feed.ts';
import { testFolders } from '../../../builders/test-folders.ts';

const folder = testFolders();

/** The shipped policies, loaded ahead, and how often they were loaded. */
function ahead() {
  const at = join(folder(), 'policies');
  cpSync('cedar-policies', at, { recursive: true });
  const feed = folderFeed(at, anyPath);
  const count = { loads: 0 };
  const counted = { ...feed, load: () => ((count.loads += 1), feed.load()) };
  return { at, count, feed: loadedAhead(counted) };
}

const hashOf = (loaded: object): unknown => ('hash' in loaded ? loaded.hash : loaded);

describe('`loadedAhead`', () => {
  it('uses the first load if the folder has not changed since, and only once', async () => {
    const { feed, count } = ahead();
    expect(count.loads).toBe(0);
    const first = hashOf(await feed.load());
    expect([first, count.loads]).toEqual([expect.stringMatching(/^sha-256:/), 1]);
    expect([hashOf(await feed.load()), count.loads]).toEqual([first, 2]);
  });

  it('loads again what has changed since the first load began', async () => {
    const { at, feed, count } = ahead();
    while (count.loads === 0) await new Promise(setImmediate);
    appendFileSync(
      join(at, 'policies', 'history.cedar'),
      '\n@id("z") permit (principal, action, resource) when { context.nothing };\n',
    );
    expect(await feed.load()).toMatchObject({ findings: [{ message: expect.stringContaining('nothing') }] });
    expect(count.loads).toBe(2);
  });
});
