// The words of the panel in the language of the host, from locales/<language>/main.json. English
// stands in the scripts, and wherever a language has no word.

let words = {};

// server: the host's api; language: as its settings name it. A host without translations has
// English.
export async function loadTranslation(server, language) {
  try {
    const packs = language && language !== "en" ? await server.getCustomNodesI18n?.() : {};
    words = packs?.[language]?.faceLatents ?? {};
  } catch (error) {
    console.error("Attribute Sliders: no translation.", error);
  }
}

// values: what stands for each {name} in the text.
export function translate(text, values = {}) {
  const found = Object.hasOwn(words, text) ? words[text] : text;
  return found.replace(/\{(\w+)\}/g, (all, name) => `${values[name] ?? all}`);
}
