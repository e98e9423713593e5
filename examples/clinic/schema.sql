-- A small clinic, as the sample data map (`data-map.toml`) describes it. Every person in it is invented.

CREATE TABLE patient (
    id                  integer PRIMARY KEY,
    mrn                 text NOT NULL UNIQUE,
    first_name          text NOT NULL,
    last_name           text NOT NULL,
    dob                 date NOT NULL,
    ssn                 text NOT NULL,
    sex                 char(1) NOT NULL,
    phone               text,
    email               text,
    street              text,
    city                text,
    state               char(2),
    zip                 text,
    insurance_member_id text
);

CREATE TABLE encounter (
    id         integer PRIMARY KEY,
    patient_id integer NOT NULL REFERENCES patient,
    admitted   timestamptz NOT NULL,
    discharged timestamptz,
    department text NOT NULL,
    reason     text NOT NULL,
    notes      text
);

CREATE TABLE lab_result (
    id         integer PRIMARY KEY,
    patient_id integer NOT NULL REFERENCES patient,
    taken      timestamptz NOT NULL,
    test       text NOT NULL,
    value      numeric NOT NULL,
    unit       text NOT NULL
);

CREATE TABLE prescription (
    id         integer PRIMARY KEY,
    patient_id integer NOT NULL REFERENCES patient,
    drug       text NOT NULL,
    dose       text NOT NULL,
    prescribed date NOT NULL,
    ends       date
);

CREATE TABLE staff (
    id   integer PRIMARY KEY,
    name text NOT NULL,
    role text NOT NULL
);

CREATE INDEX ON encounter (patient_id);
CREATE INDEX ON lab_result (patient_id);
CREATE INDEX ON prescription (patient_id);
CREATE VIEW patient_contact AS SELECT id, first_name || ' ' || last_name AS who, phone, email FROM patient;
