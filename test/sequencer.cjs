'use strict';
const Sequencer = require('@jest/test-sequencer').default;

/** Folders and files that take minutes. */
const LONG = ['test/image/', 'test/simulation/', 'test/fleet/matrix/', 'test/e2e/', 'test/hosts/', 'test/release/'];

const isLong = ({ path }) => LONG.some((part) => path.includes(part));

/**
 * Long files come first, so that no worker waits for one at the end. Jest orders files by their last duration, which a fresh clone does not
 * have.
 */
module.exports = class LongFirst extends Sequencer {
  sort(tests) {
    const sorted = super.sort(tests);
    return [...sorted.filter(isLong), ...sorted.filter((test) => !isLong(test))];
  }
};
