/** The program but for its head, made by scripts/bundle.mjs. */
declare module 'nspawn-runner:chunks' {
  const program: {
    /** Digest of the chunks. */
    readonly build: string;
    /** CommonJS text by the name that other chunks require it by. */
    readonly chunks: Readonly<Record<string, string>>;
  };
  export default program;
}
