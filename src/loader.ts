/**
 * The head of the built program. The rest is in the same file as text, chunk by chunk, and compiled
 * when it is first asked for: V8 reads past a string ten times faster than it parses code, and a
 * stage needs a quarter of ours. See docs/decisions/0004-start-up.md.
 */
import { Script } from 'node:vm';
import program from 'nspawn-runner:chunks';
import { readCodeCache, writeCodeCache } from './code-cache.ts';

interface Module {
  exports: unknown;
}

type Load = (name: string) => unknown;
type ChunkBody = (module: Module, exports: unknown, load: Load, directory: string) => void;

const STAGES = ['config', 'prepare', 'run', 'cleanup'];

const { build, chunks } = program;
const stage = process.argv.slice(2).find((word) => STAGES.includes(word));
const known = stage === undefined ? new Map<string, Buffer>() : readCodeCache(stage, build);
const modules = new Map<string, Module>();
const compiledHere = new Map<string, Script>();

/** `require` for the chunks: another chunk, or what Node has. */
function load(name: string): unknown {
  const text = chunks[name];
  if (text === undefined) return builtin(name);
  const loaded = modules.get(name);
  if (loaded !== undefined) return loaded.exports;
  const module: Module = { exports: {} };
  modules.set(name, module);
  compile(name, text)(module, module.exports, load, __dirname);
  return module.exports;
}

function builtin(name: string): unknown {
  const module: unknown = process.getBuiltinModule(name);
  if (module === undefined) throw new Error(`"${name}" is neither in the program nor in Node.`);
  return module;
}

function compile(name: string, text: string): ChunkBody {
  const cachedData = known.get(name);
  const script = new Script(`(function(module,exports,require,__dirname){${text}\n})`, {
    filename: `${__filename}/${name.replace('./', '')}`,
    cachedData,
  });
  if (cachedData === undefined || script.cachedDataRejected === true) {
    compiledHere.set(name, script);
  }
  return script.runInThisContext() as ChunkBody;
}

if (stage !== undefined) {
  process.once('exit', () => {
    if (compiledHere.size > 0) writeCodeCache({ stage, build, known, compiledHere });
  });
}

load('./main.js');
