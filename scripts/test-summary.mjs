// Adds up the reports that scripts/test left and prints the closing line. A host suite that did not
// run is a failure: a test that is skipped in silence proves nothing.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

/** Of what a failed test said: enough to begin with where the rest of the log was cut. */
const MESSAGE_LINES = 25;

const [directory, failedSteps, ...expected] = process.argv.slice(2);
const total = { passed: 0, failed: 0, skipped: 0 };
const suites = new Map();
const [skipped, failed] = [[], []];
for (const file of readdirSync(directory).filter((name) => name.endsWith('.json'))) {
  const name = file.replace('.json', '');
  const report = JSON.parse(readFileSync(join(directory, file), 'utf8'));
  total.passed += report.numPassedTests;
  total.failed += report.numFailedTests;
  total.skipped += report.numPendingTests + report.numTodoTests;
  suites.set(name, report.numPassedTests + report.numFailedTests);
  for (const suite of report.testResults) {
    const failures = suite.assertionResults.filter(({ status }) => status === 'failed');
    // A file that cannot be loaded, or whose hooks fail, has no test to blame.
    if (suite.status === 'failed' && failures.length === 0) {
      total.failed += 1;
      failed.push(failure(name, suite.name, [suite.message]));
    }
    failed.push(...failures.map((test) => failure(name, test.fullName, test.failureMessages)));
    for (const { status, fullName } of suite.assertionResults) {
      if (status === 'pending' || status === 'skipped')
        skipped.push(`skipped in ${name}: ${fullName}`);
    }
  }
}

function failure(suite, test, messages) {
  const lines = stripVTControlCharacters(messages.join('\n')).split('\n').slice(0, MESSAGE_LINES);
  return [`failed in ${suite}: ${test}`, ...lines.map((line) => `    ${line}`)].join('\n');
}

for (const line of [...skipped, ...failed]) console.log(line);
for (const name of expected) {
  if ((suites.get(name) ?? 0) === 0) {
    console.log(`The suite ${name} did not run.`);
    total.failed += 1;
  }
}
// A step that is no test suite (types, lint, a build) counts as one failure.
const steps = readFileSync(failedSteps, 'utf8').split('\n').filter(Boolean);
for (const step of steps) console.log(`failed step: ${step}`);
if (total.failed === 0) total.failed += steps.length;
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed === 0 ? 0 : 1;
