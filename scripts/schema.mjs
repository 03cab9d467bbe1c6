// Writes the JSON Schemas of settings and recipes, with which an editor completes and checks the
// files. They are made of the schemas that the program itself reads with.
import { build } from 'esbuild';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const schemas = [
  { module: './src/settings-schema.ts', name: 'SettingsFile', file: 'settings.schema.json' },
  { module: './src/chroot/recipe-schema.ts', name: 'RecipeFile', file: 'recipe.schema.json' },
];

export async function writeSchemas(root, dist) {
  for (const { module, name, file } of schemas) {
    const contents = `
      import { toJSONSchema } from 'zod/mini';
      import { ${name} } from '${module}';
      export default toJSONSchema(${name}, { io: 'input' });
    `;
    // Node 20 does not read TypeScript: the module is bundled and imported without a file.
    const { outputFiles } = await build({
      stdin: { contents, resolveDir: root },
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'node',
      logLevel: 'warning',
    });
    const code = Buffer.from(outputFiles[0].contents).toString('base64');
    const { default: schema } = await import(`data:text/javascript;base64,${code}`);
    writeFileSync(join(dist, file), `${JSON.stringify(schema, undefined, 2)}\n`);
  }
}
