'use strict';
const { writeSync } = require('node:fs');
const { relative } = require('node:path');

/** The most failed tests that are named again at the end, and the characters of each message. */
const MAX_NAMED = 40;
const MAX_MESSAGE = 600;
const COLOUR = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');

/**
 * Names the suites that were skipped with what would enable them, then each failed test with the start of its message, since a log of this
 * length is often cut, and prints jest's totals as the very last line, plain, for scripts to read: `N passed, N failed[, N skipped]`.
 */
module.exports = class PlainTotals {
  onRunComplete(_contexts, results) {
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    const skipped = results.numPendingTests + results.numTodoTests;
    const tail = skipped > 0 ? `, ${skipped} skipped` : '';
    const reasons = results.testResults
      .flatMap((suite) => suite.testResults)
      .filter((test) => test.status === 'pending')
      .map((test) => [...test.ancestorTitles, test.title].find((title) => title.includes('(skipped:')))
      .filter((title) => title !== undefined);
    const lines = [...new Set(reasons)].map((reason) => `skipped: ${reason}`);
    lines.push(...results.testResults.flatMap(failuresOf).slice(0, MAX_NAMED));
    lines.push(`${results.numPassedTests} passed, ${failed} failed${tail}`);
    process.once('exit', () => lines.forEach(writeLine));
  }
};

/** Writes a line whole: a pipe whose reader is slow takes none for a moment. */
function writeLine(line) {
  for (;;) {
    try {
      writeSync(1, `${line}\n`);
      return;
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}

/** A line for each failed test of a file, or for a file that could not run. */
function failuresOf({ testFilePath, testResults, testExecError }) {
  const file = relative(process.cwd(), testFilePath);
  const failures = testResults
    .filter(({ status }) => status === 'failed')
    .map(({ fullName, failureMessages }) => `failed: ${file}: ${fullName}: ${shown(failureMessages[0] ?? '')}`);
  return testExecError
    ? [`failed: ${file} could not run: ${shown(testExecError.message ?? '')}`, ...failures]
    : failures;
}

/** The start of a message on one line, without colours and stack. */
const shown = (message) =>
  message
    .slice(0, 4 * MAX_MESSAGE)
    .replace(/\n {4}at [^]*$/, '')
    .replaceAll(COLOUR, '')
    .replace(/\s+/g, ' ')
    .slice(0, MAX_MESSAGE);
