'use strict';
const { writeSync } = require('node:fs');

/**
 * Names the suites that were skipped with what would enable them, and prints jest's totals as the very last line, plain,
 * for scripts to read: `N passed, N failed[, N skipped]`.
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
    for (const reason of new Set(reasons)) process.once('exit', () => writeSync(1, `skipped: ${reason}\n`));
    process.once('exit', () => writeSync(1, `${results.numPassedTests} passed, ${failed} failed${tail}\n`));
  }
};
