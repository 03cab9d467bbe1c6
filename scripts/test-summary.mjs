// Adds up the reports that scripts/test left and prints the closing line. A host suite that did not
// run is a failure: a test that is skipped in silence proves nothing.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const [directory, failedSteps, ...expected] = process.argv.slice(2);
const total = { passed: 0, failed: 0, skipped: 0 };
const suites = new Map();
for (const file of readdirSync(directory).filter((name) => name.endsWith('.json'))) {
  const report = JSON.parse(readFileSync(join(directory, file), 'utf8'));
  total.passed += report.numPassedTests;
  total.failed += report.numFailedTests;
  total.skipped += report.numPendingTests + report.numTodoTests;
  suites.set(file.replace('.json', ''), report.numPassedTests + report.numFailedTests);
  for (const suite of report.testResults) {
    for (const test of suite.assertionResults) {
      if (test.status === 'pending' || test.status === 'skipped') {
        console.log(`skipped in ${file.replace('.json', '')}: ${test.fullName}`);
      }
    }
  }
}
for (const name of expected) {
  if ((suites.get(name) ?? 0) === 0) {
    console.log(`The suite ${name} did not run.`);
    total.failed += 1;
  }
}
// A step that is no test suite (types, lint, a build) counts as one failure.
if (total.failed === 0) total.failed += Number(failedSteps);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed === 0 ? 0 : 1;
