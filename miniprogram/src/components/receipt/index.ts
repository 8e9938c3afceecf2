// A bill, each line with its reason.
Component({
  options: { addGlobalClass: true },
  properties: {
    receipt: { type: Object, value: null as never },
    total: { type: String, value: '' },
  },
})
