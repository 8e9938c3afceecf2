declare const htm: { bind(h: any): (strings: TemplateStringsArray, ...holes: any[]) => any }
export default htm
