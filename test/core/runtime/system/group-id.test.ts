import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { groupIdOf } from '../../../../src/core/runtime/system/group-id.ts';
import { testFolders } from '../../../builders/test-folders.ts';

const folder = testFolders();

describe('groupIdOf', () => {
  const file = join(folder(), 'group');
  writeFileSync(file, 'root:x:0:\nremit:x:990:envoy\nbroken\nodd:x:none:\n');
  it.each([
    ['a name of the file', 'remit', 990],
    ['a number', '4711', 4711],
    ['an unknown name', 'nobody', { problem: `there is no group \`nobody\` in \`${file}\`: name it by its number` }],
    ['a line without a number', 'broken', { problem: expect.stringContaining('there is no group `broken`') }],
    ['a number that is none', 'odd', { problem: expect.stringContaining('there is no group `odd`') }],
  ])('takes %s', async (_what, name, expected) => {
    expect(await groupIdOf(name, file)).toEqual(expected);
  });

  it('says if it cannot look it up', async () => {
    const none = join(folder(), 'none');
    expect(await groupIdOf('remit', none)).toEqual({
      problem: `the group \`remit\` cannot be looked up in \`${none}\`: ENOENT`,
    });
  });
});
