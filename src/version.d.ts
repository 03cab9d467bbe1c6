/** Set by the bundler from package.json. */
declare const NSPAWN_RUNNER_VERSION: string;
