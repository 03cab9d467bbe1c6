/** get_sources, clear_worktree and cleanup_file_variables. */
import { isOn, valueOf, type ScriptContext } from './context.ts';
import { printCommand, printLine, printNotice, quote, quoteAll } from './quote.ts';

type Strategy = 'clone' | 'fetch' | 'none' | 'empty';

const LOCKS = ['index.lock', 'shallow.lock', 'HEAD.lock', 'config.lock'];

export function gitStrategy(context: ScriptContext): Strategy {
  const value = valueOf(context, 'GIT_STRATEGY');
  if (value === 'clone' || value === 'fetch' || value === 'none' || value === 'empty') return value;
  return context.response.allow_git_fetch ? 'fetch' : 'clone';
}

export function getSources(context: ScriptContext): readonly string[] {
  return [
    ...hook(context, 'pre_get_sources_script'),
    ...checkoutByStrategy(context),
    ...rejectCredential(context),
    ...hook(context, 'post_get_sources_script'),
  ];
}

export function clearWorktree(context: ScriptContext): readonly string[] {
  const project = quote(context.directories.project);
  return [
    `if [ -d ${project}/.git ]; then`,
    `  cd ${project}`,
    '  git clean -ffdx',
    '  git reset --hard -q',
    'fi',
  ];
}

export function cleanupFileVariables(context: ScriptContext): readonly string[] {
  const files = [...context.variables.values()].filter(({ isFile }) => isFile);
  const paths = [`${context.temporary}/gitlab_runner_env`, ...files.map(({ value }) => value)];
  const project = quote(context.directories.project);
  const cleans = isOn(context, 'FF_ENABLE_JOB_CLEANUP', false);
  return [
    ...paths.map((path) => `rm -f ${quote(path)}`),
    `rm -f ${quote(configurationFile(context))}`,
    ...rejectCredential(context),
    ...(cleans ? [`cd ${project}`, `git clean ${cleanFlags(context)}`, 'git reset --hard -q'] : []),
  ];
}

function checkoutByStrategy(context: ScriptContext): readonly string[] {
  const project = quote(context.directories.project);
  switch (gitStrategy(context)) {
    case 'none':
      return [
        `mkdir -p ${project}`,
        printNotice('Skipping Git repository setup'),
        printNotice('Skipping Git checkout'),
        printNotice('Skipping Git submodules setup'),
      ];
    case 'empty':
      return [
        `rm -rf ${project}`,
        `mkdir -p ${project}`,
        printNotice('Skipping Git repository setup and creating an empty build directory'),
        printNotice('Skipping Git submodules setup'),
      ];
    case 'clone':
      return [`rm -rf ${project}`, ...repository(context)];
    case 'fetch':
      return repository(context);
  }
}

function repository(context: ScriptContext): readonly string[] {
  const { git_info: git } = context.response;
  const depth = Number(valueOf(context, 'GIT_DEPTH') || (git.depth ?? 0));
  const project = quote(context.directories.project);
  const refspecs = git.refspecs ?? [];
  const depthWords = depth > 0 ? [`--depth=${depth}`] : [];
  const fetchFlags = words(valueOf(context, 'GIT_FETCH_EXTRA_FLAGS'), ['--prune', '--quiet']);
  return [
    printNotice(
      depth > 0 ? `Fetching changes with git depth set to ${depth}...` : 'Fetching changes...',
    ),
    ...gitConfiguration(context),
    // A lock of a killed job stops `git init` too.
    `mkdir -p ${project}`,
    `cd ${project}`,
    ...LOCKS.map((lock) => `rm -f ${quote(`.git/${lock}`)}`),
    "if [ -d .git/refs ]; then find .git/refs -name '*.lock' -type f -exec rm -f {} +; fi",
    'git init -q',
    `git config include.path ${quote(configurationFile(context))}`,
    `git remote add origin ${quote(withoutToken(git.repo_url))} 2>/dev/null ||`,
    `  git remote set-url origin ${quote(withoutToken(git.repo_url))}`,
    `git fetch origin --no-recurse-submodules ${quoteAll([...refspecs, ...depthWords, ...fetchFlags])}`,
    ...checkout(context),
  ];
}

function checkout(context: ScriptContext): readonly string[] {
  const { sha, ref } = context.response.git_info;
  if (!isOn(context, 'GIT_CHECKOUT', true)) {
    return [printNotice('Skipping Git checkout'), printNotice('Skipping Git submodules setup')];
  }
  const clean = cleanFlags(context);
  const submodules = valueOf(context, 'GIT_SUBMODULE_STRATEGY') || 'none';
  return [
    printNotice(`Checking out ${sha.slice(0, 8)} as detached HEAD (ref is ${ref})...`),
    `GIT_LFS_SKIP_SMUDGE=1 git checkout -f -q --detach ${quote(sha)}`,
    ...(clean === '' ? [] : [`git clean ${clean}`]),
    ...(isOn(context, 'GIT_LFS_SKIP_SMUDGE', false)
      ? []
      : ['if git lfs version >/dev/null 2>&1; then git lfs pull; fi']),
    ...updateSubmodules(context, submodules),
  ];
}

function updateSubmodules(context: ScriptContext, strategy: string): readonly string[] {
  const recursive = strategy === 'recursive' ? ' --recursive' : '';
  if (strategy === 'none') return [printNotice('Skipping Git submodules setup')];
  if (strategy !== 'normal' && strategy !== 'recursive') {
    return [printLine('unknown GIT_SUBMODULE_STRATEGY'), 'exit 1'];
  }
  // A submodule is a repository of its own, which knows nothing of the project's configuration.
  const git = `git -c ${quote(`include.path=${configurationFile(context)}`)} submodule`;
  return [
    printNotice(`Updating/initializing submodules${recursive === '' ? '' : ' recursively'}...`),
    `${git} init`,
    `${git} sync${recursive}`,
    `${git} update --init --force${recursive}`,
  ];
}

/** Git's extra configuration: the job's token and CA, in a file that no repository keeps. */
function gitConfiguration(context: ScriptContext): readonly string[] {
  const { repo_url: url } = context.response.git_info;
  const file = quote(configurationFile(context));
  const lines = [`mkdir -p ${quote(context.temporary)}`, `rm -f ${file}`, `: >${file}`];
  if (!URL.canParse(url)) return lines;
  const parsed = new URL(url);
  const base = `${parsed.protocol}//${parsed.host}`;
  if (parsed.username !== '' || parsed.password !== '') {
    const withToken = `${parsed.protocol}//${parsed.username}:${parsed.password}@${parsed.host}`;
    lines.push(`git config -f ${file} ${quote(`url.${withToken}.insteadOf`)} ${quote(base)}`);
  }
  const ca = valueOf(context, 'CI_SERVER_TLS_CA_FILE');
  if (ca !== '') {
    lines.push(`git config -f ${file} ${quote(`http.${base}.sslCAInfo`)} ${quote(ca)}`);
  }
  return lines;
}

function configurationFile({ temporary }: ScriptContext): string {
  return `${temporary}/git.config`;
}

/** The Runner forgets what a credential helper of the machine may have kept; it never fails a job. */
function rejectCredential(context: ScriptContext): readonly string[] {
  const { repo_url: url } = context.response.git_info;
  if (!URL.canParse(url) || new URL(url).host === '') return [];
  const { protocol, host } = new URL(url);
  const text = `protocol=${protocol.replace(/:$/, '')}\nhost=${host}\n\n`;
  return [`printf %s ${quote(text)} | GIT_TERMINAL_PROMPT=0 git credential reject || :`];
}

function hook(context: ScriptContext, name: string): readonly string[] {
  const commands = (context.response.hooks ?? []).find((h) => h.name === name)?.script ?? [];
  return commands.flatMap((command) => [printCommand(command), command]);
}

function cleanFlags(context: ScriptContext): string {
  const value = valueOf(context, 'GIT_CLEAN_FLAGS');
  return value === 'none' ? '' : quoteAll(words(value, ['-ffdx']));
}

function words(text: string, fallback: readonly string[]): readonly string[] {
  const found = text.split(/\s+/).filter((word) => word !== '');
  if (found.length === 1 && found[0] === 'none') return [];
  return found.length === 0 ? fallback : found;
}

function withoutToken(url: string): string {
  if (!URL.canParse(url) || new URL(url).host === '') return url;
  const parsed = new URL(url);
  parsed.username = '';
  parsed.password = '';
  return parsed.href;
}
