/** What `exec` does with each keyword of a job: reads it, needs not, or says that it does not. */
import { nearest } from '../../file-problems.ts';
import type { CiMap } from './ci-file.ts';

const READ = [
  ...['image', 'variables', 'before_script', 'script', 'after_script', 'artifacts', 'cache'],
  ...['timeout', 'stage', 'inherit', 'extends'],
];

/** They decide when, where and how often a pipeline runs the job, and here a person did. */
const OF_THE_PIPELINE = [
  ...['tags', 'allow_failure', 'when', 'retry', 'interruptible', 'resource_group', 'coverage'],
  ...['start_in', 'manual_confirmation', 'description', 'publish'],
];

const NOT_DONE: Readonly<Record<string, string>> = {
  services: 'no service is started',
  needs: 'no other job runs first, and its artifacts are not fetched',
  dependencies: 'artifacts of other jobs are not fetched',
  rules: 'not evaluated: the job runs because you named it',
  only: 'not evaluated: the job runs because you named it',
  except: 'not evaluated: the job runs because you named it',
  parallel: 'the job runs once',
  trigger: 'no pipeline is started',
  environment: 'nothing is deployed anywhere',
  secrets: 'no secret is fetched; give it with --variable',
  id_tokens: 'no token is made; give one with --variable',
  inputs: 'not known here; write values in place of `$[[ … ]]`',
  identity: 'no identity is taken on',
  release: 'no release is made',
  pages: 'nothing is published',
  hooks: 'not run',
  run: 'steps are not run',
  dast_configuration: 'not applied',
};

const NOT_DONE_AT_THE_TOP: Readonly<Record<string, string>> = {
  include: 'other files are not read, and their jobs are not known here',
  workflow: 'not evaluated: the job runs because you named it',
};

const NOT_DONE_OF_ARTIFACTS: Readonly<Record<string, string>> = {
  reports: 'not copied; add the files to artifacts:paths',
};

const NOT_DONE_OF_IMAGES: Readonly<Record<string, string>> = {
  entrypoint: 'a machine has an init of its own',
  docker: 'a machine is not a container',
  kubernetes: 'a machine is not a pod',
};

/** One line for each keyword that has no effect here. */
export function ignoredKeywords(root: CiMap, job: CiMap): readonly string[] {
  const known = [...READ, ...OF_THE_PIPELINE, ...Object.keys(NOT_DONE)];
  const unknown = Object.keys(job).filter((key) => !known.includes(key));
  return [
    ...notes(root, NOT_DONE_AT_THE_TOP),
    ...notes(job, NOT_DONE),
    ...notes(job['artifacts'], NOT_DONE_OF_ARTIFACTS, 'artifacts:'),
    ...notes(job['image'], NOT_DONE_OF_IMAGES, 'image:'),
    ...unknown.map((key) => {
      const near = nearest(key, known);
      return `${key}: not known${near === undefined ? '' : `; did you mean "${near}"?`}`;
    }),
  ];
}

function notes(
  value: unknown,
  table: Readonly<Record<string, string>>,
  prefix = '',
): readonly string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(table)
    .filter(([key]) => Object.hasOwn(value, key))
    .map(([key, text]) => `${prefix}${key}: ${text}`);
}
