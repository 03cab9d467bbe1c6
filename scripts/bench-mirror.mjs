// A mirror of Debian's packages on this machine that keeps what it was asked for, so that the pace of
// the network is no part of what is measured: every package is read from a warm cache.
//
//   node scripts/bench-mirror.mjs DIRECTORY
//
// Prints its port, and serves until its standard input ends. Serves what it has without asking again,
// so it is good for one run.
import { createReadStream, createWriteStream, existsSync, renameSync, statSync } from 'node:fs';
import { createServer, get } from 'node:http';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

const UPSTREAM = 'http://deb.debian.org';
const [directory] = process.argv.slice(2);

/** Paths that upstream does not have, with its status. */
const refused = new Map();
const fetches = new Map();

async function fetchOnce(path, file) {
  const response = await new Promise((resolve, reject) => {
    get(`${UPSTREAM}${path}`, resolve).on('error', reject);
  });
  if (response.statusCode !== 200) {
    response.resume();
    refused.set(path, response.statusCode);
    return;
  }
  await pipeline(response, createWriteStream(`${file}.part`));
  renameSync(`${file}.part`, file);
}

async function answer({ url }, response) {
  const file = join(directory, createHash('sha256').update(url).digest('hex'));
  if (!existsSync(file) && !refused.has(url)) {
    if (!fetches.has(url))
      fetches.set(
        url,
        fetchOnce(url, file).finally(() => fetches.delete(url)),
      );
    await fetches.get(url);
  }
  if (!existsSync(file)) return response.writeHead(refused.get(url) ?? 502).end();
  response.writeHead(200, { 'content-length': statSync(file).size });
  await pipeline(createReadStream(file), response);
}

const server = createServer((request, response) => {
  answer(request, response).catch(() => response.destroy());
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume().on('end', () => process.exit());
